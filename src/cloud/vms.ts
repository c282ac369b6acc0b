import type { Collection } from '../model/cloud.ts'
import { fail } from '../model/errors.ts'
import { expand, expandOne } from '../model/expand.ts'
import type { Resource } from '../model/kinds.ts'
import { parseVmId, parseVmName, vmName } from '../model/names.ts'
import { type EnvRecord, keys, lastPart } from '../model/records.ts'
import type { VmSpec, VmState, VmStatus } from '../model/vm.ts'
import { follow } from '../store/follow.ts'
import { changes } from './changes.ts'
import { phaseOf, type Truth } from './truth.ts'

/** VMs, derived from the ENVs' records and what their hosts say. */
export function vmCollection(truth: Truth): Collection<'vm'> {
  const get = (name: string) => {
    const parts = parseVmName(name)
    const env = parts && truth.envs.get(keys.env(parts.env))
    const vm = env && expandOne(env, parts.index)
    return vm && vmResource(sight(truth), env, vm)
  }
  const refuse = (name: string): never => fail('unsupported', 'VMs are made and removed with their ENV', { subject: `vm/${name}` })
  return {
    get: async (name) => get(name) ?? fail('not_found', `there is no VM ${JSON.stringify(name.slice(0, 80))}`, { subject: `vm/${name}`, remedy: 'see `tt env show`' }),
    list: async (options) => ({ items: [...all(truth, options?.under)], missing: [] }),
    put: async (name) => refuse(name),
    remove: async (name) => refuse(name),
    async *watch(options, call) {
      if (options?.under !== undefined) envOf(truth, options.under)
      yield* changes({ names: () => [...all(truth, options?.under)].map(({ name }) => name), get, listen: (touch) => listen(truth, options?.under, touch) }, call)
    },
  }
}

function envOf(truth: Truth, name: string): EnvRecord {
  return truth.envs.get(keys.env(name)) ?? fail('not_found', `there is no ENV ${JSON.stringify(name.slice(0, 80))}`, { subject: `env/${name}`, remedy: 'see `tt env list`' })
}

function* all(truth: Truth, under?: string): Generator<Resource<'vm'>> {
  const envs = under === undefined ? truth.envs.values() : [envOf(truth, under)]
  const seen = sight(truth)
  for (const env of envs) for (const vm of expand(env)) yield vmResource(seen, env, vm)
}

/** What many VMs have in common, looked up once per call: ten thousand VMs of one ENV are on few hosts. */
interface Sight {
  truth: Truth
  hostOf(name: string): { online: boolean; address?: string; addresses: boolean }
  revisionOf(env: EnvRecord): string
}

function sight(truth: Truth): Sight {
  const hosts = new Map<string, ReturnType<Sight['hostOf']>>()
  let last: { name: string; revision: string } | undefined
  return {
    truth,
    hostOf(name) {
      const known = hosts.get(name)
      if (known) return known
      const record = truth.hosts.get(keys.host(name))
      const found = { online: truth.presences.get(keys.presence(name)) !== undefined, address: record?.address.replace(/:\d+$/, ''), addresses: record?.addresses ?? false }
      hosts.set(name, found)
      return found
    },
    revisionOf({ name }) {
      if (last?.name !== name) last = { name, revision: String(truth.envs.entry(keys.env(name))?.revision ?? 0) }
      return last.revision
    },
  }
}

function vmResource(seen: Sight, env: EnvRecord, vm: VmSpec): Resource<'vm'> {
  return {
    kind: 'vm',
    name: vmName(env.name, vm.index),
    uid: vm.id,
    revision: seen.revisionOf(env),
    owner: env.owner,
    created: env.created,
    ...(env.removing === undefined ? {} : { removing: env.removing }),
    spec: vm,
    status: vmStatus(seen, env, vm),
  }
}

function vmStatus({ truth, hostOf }: Sight, env: EnvRecord, vm: VmSpec): VmStatus {
  const record = truth.vms.get(keys.vm(vm.id))
  const host = record?.host ?? truth.claims.get(keys.claim(vm.id))?.host
  if (host === undefined) {
    const phase = phaseOf(truth, env)
    const reason = phase?.problems?.find((one) => one.vm === vmName(env.name, vm.index))?.problem
    return { state: phase?.phase === 'failed' ? 'failed' : vm.stopped ? 'stopped' : 'pending', ports: {}, ...(reason ? { problem: reason } : {}) }
  }
  const { online, address, addresses } = hostOf(host)
  const state: VmState = !online ? 'lost' : env.removing !== undefined ? 'removing' : (record?.state ?? (vm.stopped ? 'stopped' : 'starting'))
  const status: VmStatus = { state, host, ports: record?.ports ?? {} }
  if (address !== undefined) status.address = address
  if (!record) return status
  if (addresses) status.ip = record.ip
  status.mac = record.mac
  status.since = record.since
  if (record.pid !== undefined) status.pid = record.pid
  if (record.problem) status.problem = record.problem
  if (record.guest && online) status.guest = record.guest
  return status
}

function listen(truth: Truth, under: string | undefined, touch: (name: string) => void): () => void {
  const byUid = new Map<string, EnvRecord>()
  const touchOne = (key: string) => {
    const id = parseVmId(lastPart(key))
    const env = id && byUid.get(id.envUid)
    if (env && (under === undefined || under === env.name)) touch(vmName(env.name, id.index))
  }
  const touchAll = (env?: EnvRecord) => {
    if (!env || (under !== undefined && under !== env.name)) return
    for (const vm of expand(env)) touch(vmName(env.name, vm.index))
  }
  const stops = [
    follow(truth.envs, (_key, now, before) => {
      if (before && before.uid !== now?.uid) byUid.delete(before.uid)
      if (now) byUid.set(now.uid, now)
      for (const env of [before, now]) touchAll(env) // Also those it has no more.
    }),
    truth.phases.onChange(({ value }) => value && touchAll(byUid.get(value.uid))),
    truth.claims.onChange(({ key }) => touchOne(key)),
    truth.vms.onChange(({ key }) => touchOne(key)),
  ]
  return () => stops.forEach((stop) => stop())
}
