import type { World } from '../base/world.ts'
import type { About, Change, Cloud, Collection } from '../model/cloud.ts'
import type { EnvSpec } from '../model/env.ts'
import { errorOf, fail, type Problem } from '../model/errors.ts'
import type { Kind, Resource, Status } from '../model/kinds.ts'
import type { Session, SessionFrame, SessionInput, SessionRequest } from '../model/session.ts'

/**
 * What happens while somebody watches, one step each half second: a new status, another resource of the name, its end. What is `unseen` no watch tells of.
 * The last task of an ENV, whose id its caller chose, is called `env/demo`.
 */
export type Step = { kind: Kind; name: string; status?: Partial<Status<Kind>>; other?: Resource<Kind>; gone?: true; unseen?: true } | 'break'

type Verb = 'get' | 'list' | 'put' | 'remove' | 'watch'

export interface Script {
  about?: Partial<About>
  env?: Resource<'env'>[]
  vm?: Resource<'vm'>[]
  host?: Resource<'host'>[]
  image?: Resource<'image'>[]
  task?: Resource<'task'>[]
  user?: Resource<'user'>[]
  token?: Resource<'token'>[]
  missing?: Problem[]
  steps?: Step[]
  /** Refusals, the first of them first, by verb and name: `env.put demo`. */
  refusals?: Record<string, Problem[]>
  /** What a session says; a step that is a number waits for so many milliseconds, one that is a Problem breaks the output. */
  frames?: (SessionFrame | number | { broken: Problem })[]
  opening?: Problem
  /** Its sessions end by being disposed only, not with the call that opened them. */
  deaf?: true
}

export interface ScriptedCloud extends Cloud {
  /** `env.put demo`, in order. */
  readonly calls: string[]
  readonly puts: { name: string; options: unknown }[]
  readonly removals: { name: string; options: unknown }[]
  readonly opened: SessionRequest[]
  readonly inputs: SessionInput[]
}

const stepMs = 500

/** A Cloud that plays a script: for seeing what the command line makes of any answer, the rare ones too. It decides nothing itself. */
export function scriptedCloud(script: Script, world: World): ScriptedCloud {
  const state: { [K in Kind]: Map<string, Resource<K>> } = { env: byName(script.env), vm: byName(script.vm), host: byName(script.host), image: byName(script.image), task: byName(script.task), user: byName(script.user), token: byName(script.token) }
  const calls: string[] = []
  const puts: ScriptedCloud['puts'] = []
  const opened: SessionRequest[] = []
  const inputs: SessionInput[] = []
  const removals: ScriptedCloud['removals'] = []
  const lastTask = new Map<string, string>()
  const steps = [...(script.steps ?? [])]
  /** The ENV with the task of its change, as a cloud makes both at once. */
  const begun = <K extends Kind>(resource: Resource<K>, before: Resource<K> | undefined, id = `t${lastTask.size}`): Resource<K> => {
    const env = resource as unknown as Resource<'env'>
    const unchanged = before && resource.removing === before.removing && JSON.stringify(resource.spec) === JSON.stringify(before.spec)
    if (unchanged) return before
    const halts = (before as Resource<'env'> | undefined)?.spec.stopped
    const power = halts === env.spec.stopped ? 'update' : env.spec.stopped ? 'stop' : 'start'
    const verb = resource.removing === undefined ? (before ? power : 'create') : 'remove'
    const subject = `env/${env.name}`
    lastTask.set(subject, id)
    const status = { state: 'running', done: 0, total: env.status?.vms ?? 0 } as const
    state.task.set(id, { kind: 'task', name: id, uid: id, revision: '1', owner: env.owner, created: isoOf(world), spec: { verb, subject, limitSeconds: 600 }, status })
    return { ...env, status: { ...env.status, task: id } } as unknown as Resource<K>
  }
  const heard = (kind: Kind, verb: Verb, name = '') => {
    const call = `${kind}.${verb} ${name}`.trim()
    calls.push(call)
    const refusal = script.refusals?.[call]?.shift()
    if (refusal) throw errorOf(refusal)
  }
  const collection = <K extends Kind>(kind: K): Collection<K> => {
    const all = state[kind] as Map<string, Resource<K>>
    const get = (name: string) => all.get(name) ?? fail('not_found', `there is no ${kind === 'env' ? 'ENV' : kind} ${JSON.stringify(name)}`, { subject: `${kind}/${name}`, remedy: `see \`tt ${kind} list\`` })
    const isUnder = (resource: Resource<Kind>, env: string) => (kind === 'task' ? (resource as Resource<'task'>).spec.subject === `env/${env}` : resource.name.startsWith(`${env}.`))
    const under = (env?: string) => [...all.values()].filter((resource) => env === undefined || isUnder(resource, env))
    return {
      async get(name) {
        heard(kind, 'get', name)
        return get(name)
      },
      async list(options) {
        heard(kind, 'list', options?.under)
        return { items: under(options?.under), missing: script.missing ?? [] }
      },
      async put(name, options) {
        puts.push({ name, options })
        heard(kind, 'put', name)
        const before = all.get(name)
        if (options.expect === 'absent' && before) fail('exists', `there is an ENV ${name} already`, { subject: `env/${name}`, remedy: `choose another name, or \`tt env del ${name}\` first` })
        const status = kind === 'env' ? { phase: 'creating', vms: countOf(options.spec as EnvSpec), ready: 0, since: isoOf(world) } : undefined
        const fresh = { kind, name, uid: options.uid ?? 'u1', revision: '1', owner: 'ann', created: isoOf(world), spec: { ...(kind === 'env' ? filled : {}), ...options.spec }, status } as unknown as Resource<K>
        const changed = before && { ...before, spec: options.spec as Resource<K>['spec'], revision: `${before.revision}+` }
        all.set(name, kind === 'env' ? begun(changed ?? fresh, before, options.task) : (changed ?? fresh))
        return get(name)
      },
      async remove(name, options) {
        heard(kind, 'remove', name)
        removals.push({ name, options })
        const before = get(name)
        const gone = { ...before, removing: isoOf(world) }
        all.set(name, kind === 'env' ? begun(gone, before, options?.task) : gone)
      },
      async *watch(options, call): AsyncGenerator<Change<K>> {
        heard(kind, 'watch', options?.under)
        for (const resource of under(options?.under)) yield { type: 'is', resource }
        yield { type: 'synced' }
        for (let step = steps.shift(); step !== undefined; step = steps.shift()) {
          await world.sleep(stepMs, call?.signal).catch(() => undefined)
          if (call?.signal?.aborted) return
          if (step === 'break') fail('unavailable', 'the watch ended', { subject: 'server' })
          const there = state[step.kind] as Map<string, Resource<Kind>>
          const named = step.kind === 'task' ? (lastTask.get(step.name) ?? step.name) : step.name
          const before = there.get(named)
          if (step.gone) there.delete(named)
          else if (step.other) there.set(named, step.other)
          else if (before) there.set(named, { ...before, status: { ...before.status, ...step.status } as Resource<Kind>['status'] })
          if (step.kind === kind && !step.unseen) yield step.gone ? { type: 'gone', name: named } : { type: 'is', resource: get(named) }
        }
        await new Promise((resolve) => call?.signal?.addEventListener('abort', resolve, { once: true }))
      },
    }
  }
  return {
    calls,
    puts,
    removals,
    opened,
    inputs,
    async about() {
      calls.push('about')
      const refusal = script.refusals?.about?.shift()
      if (refusal) throw errorOf(refusal)
      return { cloud: 'cluster', version: '0.1.0', user: 'ann', role: 'user', ...script.about }
    },
    collection,
    async open(request, call) {
      opened.push(request)
      if (script.opening) throw errorOf(script.opening)
      return played(script.frames ?? [], { world, inputs, signal: script.deaf ? undefined : call?.signal })
    },
  }
}

function played(frames: NonNullable<Script['frames']>, { world, inputs, signal }: { world: World; inputs: SessionInput[]; signal?: AbortSignal }): Session {
  const output = async function* (): AsyncGenerator<SessionFrame> {
    for (const frame of frames) {
      if (typeof frame === 'number') await world.sleep(frame, signal)
      else if ('broken' in frame) throw errorOf(frame.broken)
      else yield frame
    }
  }
  return {
    output: ReadableStream.from(output()),
    input: new WritableStream({ write: (input) => void inputs.push(input) }),
    [Symbol.asyncDispose]: async () => undefined,
  }
}

/** What a cloud fills in. */
const filled = { denyOutgoing: false, stopped: false, lifetimeSeconds: 3600, deadlineSeconds: 600, kicked: [] }
const byName = <K extends Kind>(resources: Resource<K>[] = []) => new Map(resources.map((resource) => [resource.name, resource]))
const isoOf = (world: World) => new Date(world.now()).toISOString()
const countOf = ({ groups }: EnvSpec) => groups.reduce((sum, { count }) => sum + count, 0)
