import type { Resource } from '../model/kinds.ts'
import { type Clock, endsSoon } from './env-columns.ts'
import type { Peering } from './peering.ts'

/** The shapes of --json. They are a promise to programs: fields are added, never changed or left out; what is not known is null. */

export function envShape(env: Resource<'env'>, clock: Clock) {
  const told = <T>(value: T) => (env.reduced ? null : value)
  return {
    name: env.name,
    uid: told(env.uid),
    owner: env.owner,
    created: env.created,
    expires: env.status?.expires ?? null,
    endsSoon: endsSoon(env, clock),
    phase: told(env.removing === undefined ? (env.status?.phase ?? 'creating') : 'removing'),
    stopped: told(env.spec.stopped),
    count: env.status?.vms ?? 0,
    ready: told(env.status?.ready ?? 0),
    lost: told(env.status?.lost ?? 0),
    atEnd: told(env.spec.atEnd),
    keepDisks: told(env.spec.keepDisks),
    denyOutgoing: told(env.spec.denyOutgoing),
    deny: told(env.spec.deny),
    peers: told(env.spec.peers),
    sshKeys: told(env.spec.sshKeys),
    userData: told(env.spec.userData ?? null),
    task: told(env.status?.task ?? null),
    problems: told(env.status?.problems ?? []),
  }
}

export const vmShape = ({ name, uid, spec, status }: Resource<'vm'>) => ({
  id: uid,
  name,
  index: spec.index,
  image: spec.image,
  engine: spec.engine,
  state: status?.state ?? 'pending',
  ip: status?.ip ?? null,
  mac: status?.mac ?? null,
  host: status?.host ?? null,
  address: status?.address ?? null,
  ports: status?.ports ?? {},
  cpu: spec.cpu,
  memMb: spec.memMb,
  diskMb: spec.diskMb,
  denyOutgoing: spec.denyOutgoing,
  deny: spec.deny,
  pid: status?.pid ?? null,
  since: status?.since ?? null,
  guest: status?.guest ?? null,
  problem: status?.problem ?? null,
})

export const envWithVms = (env: Resource<'env'>, vms: readonly Resource<'vm'>[], clock: Clock) => ({ ...envShape(env, clock), vms: vms.map(vmShape) })

/** Beside `peers`, which are those the ENV names: who talks with it in truth. */
export const peeringShape = ({ env, namedBy, talks }: Peering) => ({ env, namedBy, talks })

export const taskShape = ({ name, owner, created, spec, status }: Resource<'task'>) => ({
  id: name,
  verb: spec.verb,
  subject: spec.subject,
  owner,
  created,
  limitSeconds: spec.limitSeconds,
  state: status?.state ?? 'queued',
  done: status?.done ?? 0,
  total: status?.total ?? 0,
  started: status?.started ?? null,
  ended: status?.ended ?? null,
  problem: status?.problem ?? null,
})

export const userShape = ({ name, created, spec, status }: Resource<'user'>) => ({
  name,
  role: spec.role,
  rights: spec.rights,
  quota: { cpu: spec.quota.cpu ?? null, memMb: spec.quota.memMb ?? null, diskMb: spec.quota.diskMb ?? null, vms: spec.quota.vms ?? null },
  used: status?.used ?? null,
  envs: status?.envs ?? 0,
  memo: spec.memo ?? null,
  created,
})

export const tokenShape = ({ name, owner, created, spec, status }: Resource<'token'>) => ({
  name,
  user: owner,
  role: spec.role ?? null,
  created,
  expires: spec.expires ?? null,
  expired: status?.expired ?? false,
})

export const imageShape = ({ name, spec, status }: Resource<'image'>) => ({
  name,
  memo: spec.memo ?? null,
  engines: spec.engines,
  arch: spec.arch,
  ways: spec.ways,
  features: spec.features,
  cpu: spec.cpu,
  memMb: spec.memMb,
  diskMb: spec.diskMb,
  ports: spec.ports,
  sizeBytes: spec.sizeBytes,
  digest: spec.digest,
  buildable: spec.buildable ?? null,
  hosts: status?.hosts ?? [],
})

export const hostShape = ({ name, status }: Resource<'host'>, images: readonly string[]) => ({
  name,
  online: status?.online ?? false,
  address: status?.address ?? null,
  version: status?.version ?? null,
  started: status?.started ?? null,
  total: status?.total ?? null,
  used: status?.used ?? null,
  engines: status?.engines ?? [],
  unusable: status?.unusable ?? [],
  network: status?.network ?? null,
  networkFeatures: status?.networkFeatures ?? {},
  volume: status?.volume ?? null,
  images,
})

