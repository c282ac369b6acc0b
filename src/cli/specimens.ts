import type { EnvSpec, EnvStatus } from '../model/env.ts'
import type { HostStatus } from '../model/host.ts'
import type { ImageSpec } from '../model/image.ts'
import type { Resource } from '../model/kinds.ts'
import type { VmSpec, VmStatus } from '../model/vm.ts'

/** Resources as a cloud would give them, for rehearsals; what is not said is ordinary. */

const created = '2025-12-31T23:30:00.000Z'

export const envOf = (name: string, more: { status?: Partial<EnvStatus>; spec?: Partial<EnvSpec>; owner?: string; removing?: string } = {}): Resource<'env'> => ({
  kind: 'env',
  name,
  uid: `u${name}`,
  revision: '7',
  owner: more.owner ?? 'ann',
  created,
  ...(more.removing === undefined ? {} : { removing: more.removing }),
  spec: {
    groups: [{ image: 'micro', digest: 'd1', engine: 'qemu', first: 0, count: 2, cpu: 1, memMb: 128, diskMb: 1024, ports: [22] }],
    lifetimeSeconds: 3600,
    longLife: false,
    atEnd: 'delete',
    keepDisks: false,
    denyOutgoing: false,
    deny: [],
    sshKeys: [],
    peers: [],
    exceptions: {},
    deadlineSeconds: 600,
    stopped: false,
    starts: 0,
    kicked: [],
    ...more.spec,
  },
  status: { phase: 'ready', vms: 2, ready: 2, since: created, expires: '2026-01-01T00:30:00.000Z', ...more.status },
})

export const vmOf = (name: string, more: { status?: Partial<VmStatus>; spec?: Partial<VmSpec> } = {}): Resource<'vm'> => {
  const [env = '', index = ''] = name.split('.')
  return {
    kind: 'vm',
    name,
    uid: `u${name}`,
    revision: '7',
    owner: 'ann',
    created,
    spec: { id: `u${name}`, env, index: Number(index), image: 'micro', digest: 'd1', engine: 'qemu', cpu: 1, memMb: 128, diskMb: 1024, ports: [22], denyOutgoing: false, deny: [], sshKeys: [], stopped: false, starts: 0, ...more.spec },
    status: {
      state: 'ready',
      host: 'h1',
      address: '192.0.2.1',
      ip: `10.64.0.${Number(index) + 2}`,
      mac: '52:54:00:40:00:02',
      ports: { 22: 40_000 + Number(index) },
      pid: 100,
      since: created,
      ...more.status,
    },
  }
}

export const hostOf = (name: string, more: Partial<HostStatus> = {}): Resource<'host'> => ({
  kind: 'host',
  name,
  uid: name,
  revision: '0',
  owner: 'admin',
  created,
  spec: {},
  status: {
    online: true,
    address: '192.0.2.1:9527',
    version: '0.1.0',
    started: created,
    total: { cpu: 16, memMb: 24_576, diskMb: 102_400, vms: 100_000 },
    used: { cpu: 2, memMb: 256, diskMb: 2048, vms: 2 },
    engines: [{ name: 'qemu', version: '7.2.22', features: { dial: true, accel: 'tcg' } }],
    unusable: [{ kind: 'volume', name: 'reflink', why: 'the file system of the data directory cannot share blocks' }],
    network: 'nftables',
    volume: 'qcow2',
    ...more,
  },
})

export const imageOf = (name: string, more: Partial<ImageSpec> = {}): Resource<'image'> => ({
  kind: 'image',
  name,
  uid: name,
  revision: '0',
  owner: 'admin',
  created,
  spec: { engines: ['qemu'], memo: 'Debian kernel and busybox', digest: 'ab'.repeat(32), arch: 'amd64', ways: ['rexec'], features: [], cpu: 1, memMb: 128, diskMb: 1024, ports: [22], sizeBytes: 52_428_800, ...more },
  status: { hosts: ['h1'] },
})
