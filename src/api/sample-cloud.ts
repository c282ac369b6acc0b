import { queue } from '../base/queue.ts'
import { realWorld, type World } from '../base/world.ts'
import type { Call } from '../model/call.ts'
import { check } from '../model/check.ts'
import type { Change, Cloud, Collection, RemoveOptions } from '../model/cloud.ts'
import { type EnvAsked, EnvSpec, type FullGroup } from '../model/env.ts'
import { fail } from '../model/errors.ts'
import { expand, expandOne } from '../model/expand.ts'
import type { ImageSpec } from '../model/image.ts'
import type { Kind, Resource } from '../model/kinds.ts'
import { checkEnvName, matchesPrefix, parseVmName, vmName } from '../model/names.ts'
import type { Session, VmSelection } from '../model/session.ts'
import { checkAborted } from './aborted.ts'
import { sampleEvents } from './sample-events.ts'
import { sampleSession } from './sample-session.ts'
import type { SampleFiles } from './sample-transfer.ts'

/**
 * A whole Cloud in memory, for the tests of this room: what lies between a Cloud and its caller is tried without store and hosts. It keeps
 * the contract. Its VMs are ready at once, or when `settle` is called if it is made `patient`.
 */
export interface SampleCloud extends Cloud {
  settle(name: string): void
  /** Sessions that were opened and not disposed. */
  readonly sessions: ReadonlySet<unknown>
  /** Signals of watches that are being read. */
  readonly watches: ReadonlySet<unknown>
}

const image: ImageSpec = { engines: ['sample'], digest: 'd'.repeat(64), arch: 'amd64', ways: ['engine'], features: [], cpu: 1, memMb: 128, diskMb: 1024, ports: [22], sizeBytes: 1 }
const images: Record<string, ImageSpec> = { 'sample:github.com/some/one': image, 'sample:micro': image }
const started = new Date(0).toISOString()
const total = { cpu: 12_000, memMb: 2_000_000, diskMb: 2_000_000, vms: 20_000 }

export function sampleCloud({ user = 'admin', patient = false, world = realWorld }: { user?: string; patient?: boolean; world?: World } = {}): SampleCloud {
  const now = () => new Date(world.now()).toISOString()
  const envs = new Map<string, Resource<'env'>>()
  const listeners = new Set<(env: string) => void>()
  const sessions = new Set<unknown>()
  const watches = new Set<unknown>()
  const files: SampleFiles = new Map()
  const happened = sampleEvents(now)
  let revisions = 0
  const keep = (env: Resource<'env'>) => {
    envs.set(env.name, env)
    for (const tell of listeners) tell(env.name)
  }
  const settle = (name: string) => {
    const env = envs.get(name)
    if (!env?.status || env.removing !== undefined) return
    keep({ ...env, status: { ...env.status, phase: 'ready', ready: env.status.vms } })
    happened.tell(env, 'ready')
  }
  const vmsOf = (env: Resource<'env'>): Resource<'vm'>[] => [...expand(env)].map((vm) => vmResource(env, vm))
  const reports = { host: new Map([['here', hostResource()]]), image: new Map(Object.entries(images).map(([name, spec]) => [name, imageResource(name, spec)])) }

  const all: { [K in Kind]: (under?: string) => Resource<K>[] } = {
    env: () => sorted(envs),
    vm: (under) => (under === undefined ? sorted(envs) : [envs.get(under) ?? missing('env', under)]).flatMap(vmsOf),
    host: () => sorted(reports.host),
    image: () => sorted(reports.image),
    task: () => [],
    user: () => [],
    token: () => [],
  }
  const one: { [K in Kind]: (name: string) => Resource<K> | undefined } = {
    env: (name) => envs.get(name),
    vm(name) {
      const parts = parseVmName(name)
      const env = parts && envs.get(parts.env)
      const vm = env && expandOne(env, parts.index)
      return vm && vmResource(env, vm)
    },
    host: (name) => reports.host.get(name),
    image: (name) => reports.image.get(name),
    task: () => undefined,
    user: () => undefined,
    token: () => undefined,
  }

  const put: Collection<'env'>['put'] = async (name, { spec: asked, uid, expect, owner = user }, call) => {
    checkAborted(call?.signal)
    checkEnvName(name)
    const subject = `env/${name}`
    const old = envs.get(name)
    if (old && expect === 'absent' && uid !== old.uid) fail('exists', `there is an ENV ${name} already`, { subject })
    if (old && expect === 'absent') return old
    if (expect !== undefined && expect !== 'absent' && !old) missing('env', name)
    if (old && expect !== undefined && expect !== old.revision) fail('conflict', `ENV ${name} was changed meanwhile`, { subject })
    const spec = filled(asked, subject)
    const vms = spec.groups.reduce((sum, { count }) => sum + count, 0)
    if (old && JSON.stringify(spec) === JSON.stringify(old.spec)) return old
    if (uid !== undefined && !/^[a-z0-9]{4,32}$/.test(uid)) fail('invalid', 'a uid is 4 to 32 of a-z and 0-9', { subject })
    const revision = String(++revisions)
    if (old) keep({ ...old, revision, spec })
    else keep({ kind: 'env', name, uid: uid ?? `uid${revision}`, revision, owner, created: now(), spec, status: { phase: 'creating', vms, ready: 0, since: started } })
    happened.tell({ name, owner: old?.owner ?? owner }, old ? 'changed' : 'created')
    if (!patient) settle(name)
    return envs.get(name) as Resource<'env'>
  }

  const remove = async (name: string, options: RemoveOptions = {}, call?: Call) => {
    checkAborted(call?.signal)
    const env = envs.get(name) ?? missing('env', name)
    if (options.uid !== undefined && options.uid !== env.uid) missing('env', name)
    if (env.removing !== undefined) return
    keep({ ...env, removing: now(), status: { phase: 'removing', vms: 0, ready: 0, since: started } })
    happened.tell(env, 'removing')
    const finish = () => {
      envs.delete(name)
      happened.tell(env, 'removed')
      for (const tell of listeners) tell(name)
    }
    if (patient) finishers.set(name, finish)
    else queueMicrotask(finish)
  }
  const finishers = new Map<string, () => void>()

  async function* watch<K extends Kind>(kind: K, under: string | undefined, call?: Call): AsyncGenerator<Change<K>> {
    if (call?.signal?.aborted) return
    const touched = new Set<string>()
    const wake = queue<void>(call?.signal)
    const known = new Set<string>()
    const tell = (env: string) => {
      if (under !== undefined && under !== env) return
      for (const { name } of kind === 'vm' ? (envs.has(env) ? all.vm(env) : []) : [{ name: env }]) touched.add(name)
      for (const name of known) if (kind === 'vm' && parseVmName(name)?.env === env) touched.add(name)
      wake.push()
    }
    listeners.add(tell)
    watches.add(tell)
    try {
      for (const resource of all[kind](under)) {
        known.add(resource.name)
        yield { type: 'is', resource }
      }
      yield { type: 'synced' }
      for await (const _ of wake) {
        const names = [...touched]
        touched.clear()
        for (const name of names) {
          const resource = one[kind](name)
          if (resource) known.add(name)
          if (resource) yield { type: 'is', resource }
          else if (known.delete(name)) yield { type: 'gone', name }
        }
      }
    } finally {
      listeners.delete(tell)
      watches.delete(tell)
    }
  }

  const selected = ({ envs: names, prefixes, indices }: VmSelection) => {
    const vms = names.flatMap((name) => vmsOf(envs.get(name) ?? missing('env', name)))
    const isAll = prefixes === undefined && indices === undefined
    const picked = vms.filter(({ spec }) => isAll || indices?.includes(spec.index) || prefixes?.some((prefix) => matchesPrefix(spec.image, prefix)))
    return picked.length > 0 ? picked : fail('not_found', 'no VM matches', { subject: `env/${names[0]}` })
  }

  return {
    about: async () => ({ cloud: 'sample', version: '0.0.0', user, role: 'admin' }),
    collection: <K extends Kind>(kind: K): Collection<K> => ({
      async get(name, call) {
        checkAborted(call?.signal)
        return one[kind](name) ?? missing(kind, name)
      },
      async list(options, call) {
        checkAborted(call?.signal)
        return { items: all[kind](options?.under), missing: [] }
      },
      put: kind === 'env' ? (put as unknown as Collection<K>['put']) : async (name) => fail('unsupported', `a ${kind} is not written`, { subject: `${kind}/${name}` }),
      remove: kind === 'env' ? remove : async (name) => fail('unsupported', `a ${kind} is not removed`, { subject: `${kind}/${name}` }),
      watch: (options, call) => watch(kind, options?.under, call),
    }),
    async open(request, call) {
      checkAborted(call?.signal)
      const session: Session = request.type === 'events' ? happened.open(request, () => sessions.delete(session)) : sampleSession(request, 'vms' in request ? selected(request.vms).map(({ name }) => name) : [], { files, closed: () => sessions.delete(session) })
      sessions.add(session)
      return session
    },
    settle(name) {
      finishers.get(name)?.()
      settle(name)
    },
    sessions,
    watches,
  }
}

const sorted = <T extends { name: string }>(map: Map<string, T>): T[] => [...map.values()].sort((a, b) => (a.name < b.name ? -1 : 1))

const missing = (kind: Kind, name: string): never => fail('not_found', `there is no ${kind} ${JSON.stringify(name.slice(0, 80))}`, { subject: `${kind}/${name}`, remedy: 'look at the list' })

function filled(asked: EnvAsked, subject: string): EnvSpec {
  const { value, wrong } = check(EnvSpec, asked)
  if (wrong !== undefined) return fail('invalid', wrong, { subject })
  let first = 0
  const groups = value.groups.map((group): FullGroup => {
    const name = group.image ?? fail('invalid', 'a group without an image', { subject })
    const { digest, cpu, memMb, diskMb, ports } = images[name] ?? fail('not_found', `no host has the image ${name}`, { subject })
    const full = { image: name, digest, engine: 'sample', first, count: group.count, cpu: group.cpu ?? cpu, memMb: group.memMb ?? memMb, diskMb: group.diskMb ?? diskMb, ports: [...new Set([...ports, ...(group.ports ?? [])])] }
    if (full.cpu > total.cpu) fail('invalid', `cpu is ${full.cpu}, allowed is 1 to ${total.cpu}`, { subject })
    if (full.memMb * full.count > total.memMb) fail('exhausted', 'not enough memory', { subject })
    first += full.count
    return full
  })
  return { ...value, groups }
}

const vmResource = (env: Resource<'env'>, spec: Resource<'vm'>['spec']): Resource<'vm'> => ({
  kind: 'vm',
  name: vmName(env.name, spec.index),
  uid: spec.id,
  revision: env.revision,
  owner: env.owner,
  created: env.created,
  spec,
  status: { state: env.status?.phase === 'ready' ? 'ready' : 'pending', host: 'here', address: '127.0.0.1', ip: '10.77.0.2', mac: '52:54:00:4d:00:02', ports: { 22: 20_022 }, since: started },
})

const reported = { revision: '0', owner: 'admin', created: started }

const imageResource = (name: string, spec: ImageSpec): Resource<'image'> => ({ ...reported, kind: 'image', name, uid: name, spec, status: { hosts: ['here'] } })

const hostResource = (): Resource<'host'> => ({
  ...reported,
  kind: 'host',
  name: 'here',
  uid: 'here',
  spec: {},
  status: { online: true, address: '127.0.0.1:8000', version: '0.0.0', started, total, used: { cpu: 0, memMb: 0, diskMb: 0, vms: 0 }, engines: [], unusable: [], network: 'none', volume: 'none' },
})
