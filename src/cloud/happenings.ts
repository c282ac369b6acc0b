import type { World } from '../base/world.ts'
import { countVms } from '../model/expand.ts'
import { vmName } from '../model/names.ts'
import { type EnvRecord, type HostRecord, keys, lastPart, type PhaseRecord, type VmRecord } from '../model/records.ts'
import type { CloudEvent } from '../model/session.ts'
import { counted } from '../model/units.ts'
import { changeWords } from './change-words.ts'
import type { Truth } from './truth.ts'

/** An event, and the ENV it is of, if it is of one. */
export interface Happening {
  event: CloudEvent
  env?: string
}

/** Of one kind of event of an ENV's VMs, so many in a second are told one by one; the rest is counted. */
const singlesMost = 20
const countedMs = 1000

/**
 * Tells what happens, from the changes of the truth as they are seen. Making ten thousand VMs is one event: of a VM only what it did by itself is told, and
 * every listener leaves at once where nothing is to be told.
 */
export function happenings(truth: Truth, world: World, tell: (happening: Happening) => void): Disposable {
  const say = (subject: string, event: string, message: string, { owner, env }: { owner?: string; env?: string } = {}) =>
    tell({ event: { time: new Date(world.now()).toISOString(), subject, ...(owner === undefined ? {} : { owner }), event, message }, ...(env === undefined ? {} : { env }) })
  const ofEnv = (env: EnvRecord, event: string, message: string) => say(`env/${env.name}`, event, message, { owner: env.owner, env: env.name })
  const ofVm = fewer(world, {
    one: (env, { index, event, message }) => say(`vm/${vmName(env.name, index)}`, event, message, { owner: env.owner, env: env.name }),
    rest: (env, event, count) => ofEnv(env, event, `${count} more ${count === 1 ? 'VM' : 'VMs'} ${event}`),
  })

  const env = (now: EnvRecord | undefined, before: EnvRecord | undefined) => {
    if (before && before.uid !== now?.uid) ofEnv(before, 'removed', 'it is gone, with all that was in it')
    if (!now) return
    if (before?.uid !== now.uid) return ofEnv(now, 'created', `${counted(countVms(now.spec), 'VM')} of ${[...new Set(now.spec.groups.map(({ image }) => image))].join(', ')}`)
    if (now.removing !== undefined) return before.removing === undefined ? ofEnv(now, 'removing', 'its VMs are being destroyed') : undefined
    if (now.expired !== undefined && before.expired === undefined) return ofEnv(now, 'expired', 'its time is over, and its VMs are halted')
    const words = changeWords(before.spec, now.spec)
    if (words.length > 0) ofEnv(now, 'changed', words.join('; '))
  }
  const phase = (name: string, now: PhaseRecord | undefined, before: PhaseRecord | undefined) => {
    if (!now || (now.phase === before?.phase && now.uid === before.uid)) return
    const record = truth.envs.get(keys.env(name))
    if (record?.uid !== now.uid) return
    const [first] = now.problems ?? []
    if (now.phase === 'ready') ofEnv(record, 'ready', record.spec.stopped ? 'its VMs are halted' : countVms(record.spec) === 1 ? 'its VM is ready' : `${countVms(record.spec)} VMs are ready`)
    if (now.phase === 'failed') ofEnv(record, 'failed', first ? `${first.vm === undefined ? '' : `${first.vm}: `}${first.problem.message}` : 'no reason is known')
  }
  const vm = (now: VmRecord | undefined, before: VmRecord | undefined) => {
    if (!now || now.state === before?.state) return
    const failed = now.state === 'failed'
    const ended = now.state === 'stopped' && !now.halted
    const recovered = now.state === 'ready' && before !== undefined
    if (!failed && !ended && !recovered) return
    const record = truth.envs.get(keys.env(now.env))
    if (!record || record.removing !== undefined || (recovered && isBusy(truth, record))) return
    const message = now.problem?.message ?? (recovered ? 'it answers' : 'no reason is known')
    ofVm(record, { index: now.index, event: failed ? 'failed' : ended ? 'stopped' : 'ready', message })
  }
  const presence = (name: string, isThere: boolean, wasThere: boolean) => {
    if (isThere === wasThere) return
    say(`host/${name}`, isThere ? 'online' : 'offline', isThere ? 'it answers' : 'it does not answer any more')
    if (isThere) return
    const lost = new Map<string, number>()
    for (const { value } of truth.claims.entries()) if (value.host === name) lost.set(value.env, (lost.get(value.env) ?? 0) + 1)
    for (const [envName, count] of lost) {
      const record = truth.envs.get(keys.env(envName))
      if (record) ofEnv(record, 'lost', `${counted(count, 'VM')} ${count === 1 ? 'is' : 'are'} on ${name}, which does not answer`)
    }
  }
  const images = (host: string, now: HostRecord, before: HostRecord) => {
    for (const [name, spec] of Object.entries(now.images)) {
      const old = before.images[name]
      if (!old) say(`image/${name}`, 'appeared', `${host} has it`, { owner: spec.owner })
      else if (old.digest !== spec.digest || old.buildable !== spec.buildable) say(`image/${name}`, 'changed', old.buildable && !spec.buildable ? `${host} has built it` : `${host} has another of this name`, { owner: spec.owner })
    }
    for (const [name, { owner }] of Object.entries(before.images)) if (!now.images[name]) say(`image/${name}`, 'gone', `${host} has it no more`, { owner })
    for (const [name, why] of Object.entries(now.broken)) if (before.broken[name] !== why) say(`image/${name}`, 'broken', `${host}: ${why}`)
  }

  const stops = [
    truth.envs.onChange(({ value }, before) => env(value, before)),
    truth.phases.onChange(({ key, value }, before) => phase(lastPart(key), value, before)),
    truth.vms.onChange(({ value }, before) => vm(value, before)),
    truth.presences.onChange(({ key, value }, before) => presence(lastPart(key), value !== undefined, before !== undefined)),
    truth.hosts.onChange(({ key, value }, before) => value && before && images(lastPart(key), value, before)),
    truth.users.onChange(({ key, value }, before) => say(`user/${lastPart(key)}`, verbOf(value, before), 'by an admin', { owner: lastPart(key) })),
    truth.tokens.onChange(({ value, key }, before) => say(`token/${key.slice(keys.tokens.length)}`, verbOf(value, before), 'a token', { owner: (value ?? before)?.user })),
    truth.tasks.onChange(({ value: now }, before) => {
      if (!now || now.state === before?.state || (now.state !== 'failed' && now.state !== 'cancelled')) return
      say(`task/${now.id}`, now.state, `${now.verb} of ${now.env}${now.problem ? `: ${now.problem.message}` : ''}`, { owner: now.owner, env: now.env })
    }),
  ]
  return {
    [Symbol.dispose]() {
      stops.forEach((stop) => stop())
      ofVm[Symbol.dispose]()
    },
  }
}

const verbOf = (now: unknown, before: unknown) => (now === undefined ? 'removed' : before === undefined ? 'created' : 'changed')

/** Whether somebody is changing the ENV: what its VMs do then is not by themselves. */
function isBusy(truth: Truth, env: EnvRecord): boolean {
  return truth.phases.get(keys.phase(env.name))?.phase !== 'ready' || truth.openTasks.of(env.uid).size > 0
}

interface VmHappening {
  index: number
  event: string
  message: string
}

/** The first few of a kind one by one, and how many more there were: a host that fails with thousands of VMs is not to push all else out of memory. */
function fewer(world: World, to: { one(env: EnvRecord, what: VmHappening): void; rest(env: EnvRecord, event: string, count: number): void }) {
  const counts = new Map<string, { count: number; stop: () => void }>()
  const say = (env: EnvRecord, what: VmHappening) => {
    const key = `${env.uid} ${what.event}`
    const seen = counts.get(key)
    if (seen) seen.count++
    else counts.set(key, { count: 1, stop: world.after(countedMs, () => close(env, what.event, key)) })
    if ((seen?.count ?? 1) <= singlesMost) to.one(env, what)
  }
  const close = (env: EnvRecord, event: string, key: string) => {
    const count = counts.get(key)?.count ?? 0
    counts.delete(key)
    if (count > singlesMost) to.rest(env, event, count - singlesMost)
  }
  return Object.assign(say, {
    [Symbol.dispose]() {
      for (const { stop } of counts.values()) stop()
    },
  })
}
