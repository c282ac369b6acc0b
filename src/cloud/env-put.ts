import { randomHex, type World } from '../base/world.ts'
import type { PutOptions } from '../model/cloud.ts'
import type { EnvSpec } from '../model/env.ts'
import { fail } from '../model/errors.ts'
import { countVms, demandOf, minus, nothing, plus } from '../model/expand.ts'
import type { ImageSpec } from '../model/image.ts'
import { shown } from '../model/names.ts'
import { type EnvRecord, keys, type PhaseRecord, type TaskRecord } from '../model/records.ts'
import type { TaskVerb } from '../model/task.ts'
import { duration } from '../model/units.ts'
import type { Write } from '../store/store.ts'
import type { ViewEntry } from '../store/view.ts'
import { admit, checkLifetime, checkQuota } from './admission.ts'
import type { EnvParts } from './parts.ts'
import { checkUid } from './expected.ts'
import { brokenImages, forEnvs, onlineHosts, usableImages } from './facts.ts'
import { resolved } from './groups.ts'
import { checkHalted } from './halted.ts'
import type { LedgerPlan, LedgerState } from './ledger.ts'
import { growHosts, growthOf } from './placement.ts'
import { failures, isRepeat, openOf, supersedes, taskOf } from './task-records.ts'
import { builtInUser } from './token-meaning.ts'
import { phaseOf, type Truth } from './truth.ts'
import { checkReadable } from './unreadable.ts'
import { usedBy } from './users.ts'

export type EnvPut = Omit<PutOptions<'env'>, 'spec'> & {
  name: string
  /** The spec as its caller wrote it, checked. */
  checked: EnvSpec
}

/** Plans a put: an ENV made or changed in one commit with its task. Undefined where nothing is to be changed. */
export function putPlan(parts: EnvParts, { name, ...options }: EnvPut, { used, creating }: LedgerState): LedgerPlan | undefined {
  const { truth, world, limits } = parts
  const subject = `env/${name}`
  checkReadable(truth, name)
  const seen = truth.envs.entry(keys.env(name))
  if (seen && options.uid === seen.value.uid && options.expect === 'absent') return // Its own earlier try, whatever became of it.
  if (isRepeat(truth, options.task, name)) return
  const old = seen && replaceable(truth, seen.value) ? undefined : seen
  checkExpected(name, old && { record: old.value, revision: String(old.revision) }, options)
  if (old && phaseOf(truth, old.value)?.phase === 'failed') fail('conflict', `ENV ${name} has failed and is being taken away`, { subject, remedy: 'try again in a moment' })
  checkOwnUid(truth, options.uid, old?.value.uid, subject)
  const owner = old?.value.owner ?? options.owner ?? 'admin'
  const { images, broken } = imagesFor(truth, owner)
  const spec = resolved(options.checked, images, { limits, broken, subject, ...(old ? { before: old.value.spec } : {}) })
  if (spec.peers.includes(name)) fail('invalid', `ENV ${name} names itself as a peer`, { subject, remedy: 'its own VMs reach each other anyway' })
  if (spec.host !== undefined && !truth.hosts.get(keys.host(spec.host))) {
    fail('not_found', `there is no host ${shown(spec.host)}`, { subject, remedy: 'see `tt status --server`' })
  }
  if (old && JSON.stringify(spec) === JSON.stringify(old.value.spec)) return // Nothing to change, so nothing changes.
  if (spec.lifetimeSeconds !== old?.value.spec.lifetimeSeconds || spec.longLife !== old.value.spec.longLife) checkLifetime(spec, limits, subject)
  if (old) checkTime(old.value, spec, world.now())
  if (old) checkHalted(truth, old.value, spec)
  const verb = verbOf(old?.value.spec, spec)
  if (old && (verb === 'stop' || verb === 'start')) checkInterval(old.value, limits.powerIntervalSeconds, world.now())
  const before = old ? demandOf(old.value.spec) : nothing
  const growth = old && growthOf(old.value.spec, spec)
  // What asks for no more is not refused because a host is away: an ENV must be given time, or be halted, whoever blinks.
  const wanted = growth?.any === false ? demandOf(spec) : admit(spec, { before, used, hosts: onlineHosts(truth).map(forEnvs), subject })
  const seenAccount = truth.users.entry(keys.user(owner))
  const account = seenAccount?.value
  if (account) checkQuota(wanted, { before, used: usedBy(truth, owner), quota: account.spec.quota, owner, subject })

  const now = new Date(world.now()).toISOString()
  const grown = old && growth?.inPlace ? growHosts(truth, old.value, { spec, now }) : { hosts: [], writes: [] }
  const held = verb === 'create' && (truth.openTasks.queued.size > 0 || creating >= limits.creationsMax)
  const { expired: _expired, ...kept } = old?.value ?? {}
  const joined = verb === 'update' && options.task === undefined ? openUpdate(parts, old?.value.uid) : undefined
  const record: EnvRecord = {
    ...(old ? (kept as EnvRecord) : { name, uid: options.uid ?? newUid(world), owner, created: now }),
    ...(verb === 'stop' || verb === 'start' ? { powered: now } : {}),
    task: joined?.value.id ?? options.task ?? newUid(world),
    spec,
  }
  const limitSeconds = verb === 'create' ? spec.deadlineSeconds : limits.changeSeconds + (old ? secondsToReady(parts, old.value) : 0)
  const task = taskOf(record, { verb, state: held ? 'queued' : old && !concernsHosts(old.value.spec, spec) ? 'done' : 'running', now, limitSeconds, total: countVms(spec) })
  const phase: PhaseRecord = { uid: record.uid, phase: 'creating', since: now, ...(held ? { held } : {}) }
  return {
    writes: [
      { key: keys.env(name), value: record, expect: seen?.revision ?? 'absent' },
      ...(old ? [] : [{ key: keys.phase(name), value: phase }]),
      joined ? { key: joined.key, expect: joined.revision } : { key: keys.task(task.id), value: task, expect: 'absent' },
      ...supersedes(truth, record, verb, now),
      ...(seen && !old ? failures(truth, seen.value, { problem: phaseOf(truth, seen.value)?.problems?.[0]?.problem, now }) : []),
      ...grown.writes,
      // An account that goes in this moment must not leave an ENV behind.
      ...(seenAccount ? [{ key: seenAccount.key, expect: seenAccount.revision }] : []),
    ],
    used: plus(minus(used, before), wanted),
    creating: creating + (verb === 'create' && !held ? 1 : 0),
    touches: [subject, `uid/${record.uid}`, `task/${task.id}`, ...(account ? [`owner/${owner}`] : []), ...grown.hosts.map((host) => `host/${host}`)],
    leans: spec.groups.flatMap(({ image = '' }) => (images.get(image)?.owner === undefined ? [] : [`image/${image}`])),
  }
}

/** 60 bits: unguessable is not needed, unique is. */
export const newUid = (world: World) => BigInt(`0x${randomHex(world, 8)}`).toString(36).slice(0, 12).padStart(4, '0')

function verbOf(old: EnvSpec | undefined, spec: EnvSpec): TaskVerb {
  if (!old) return 'create'
  if (old.stopped === spec.stopped) return 'update'
  return spec.stopped ? 'stop' : 'start'
}

/** Whether the change is one that hosts have to follow; when an ENV ends is the cloud's own affair. */
function concernsHosts(old: EnvSpec, spec: EnvSpec): boolean {
  const followed = ({ lifetimeSeconds: _life, longLife: _long, atEnd: _end, keepDisks: _kept, deadlineSeconds: _deadline, ...rest }: EnvSpec) => JSON.stringify(rest)
  return followed(old) !== followed(spec)
}

/**
 * The update that goes on already: one that comes meanwhile is done with it, so that many changes of one ENV are not as many tasks. One that has
 * used up half of its time is left alone: what comes late would not have enough of it.
 */
function openUpdate({ truth, world }: EnvParts, uid: string | undefined): ViewEntry<TaskRecord> | undefined {
  return (uid === undefined ? [] : openOf(truth, uid)).find(({ value }) => value.verb === 'update' && Date.parse(value.started ?? value.created) + value.limitSeconds * 500 > world.now())
}

/** How long an ENV that is being made may take yet: its changes are done after that only. */
function secondsToReady({ truth, limits }: EnvParts, env: EnvRecord): number {
  const phase = phaseOf(truth, env)
  return phase?.phase === 'creating' ? env.spec.deadlineSeconds + (phase.held ? limits.queueSeconds : 0) : 0
}

/** Images this owner may use: everybody's, and those kept from their own disks; what looks like one and is none, or is to be deleted. */
function imagesFor(truth: Truth, owner: string): { images: Map<string, ImageSpec>; broken: Map<string, string> } {
  const all = owner === builtInUser || truth.users.get(keys.user(owner))?.spec.role === 'admin'
  const images = new Map([...usableImages(truth)].filter(([, image]) => image.owner === undefined || all || image.owner === owner))
  const broken = brokenImages(truth)
  for (const { image } of truth.unwanted.values()) if (images.delete(image)) broken.set(image, 'it is being deleted')
  return { images, broken }
}

/** A failed ENV whose hosts hold nothing of it any more: only an explanation, in nobody's way. */
const replaceable = (truth: Truth, record: EnvRecord) => record.removing === undefined && phaseOf(truth, record)?.released === true

function checkExpected(name: string, old: { record: EnvRecord; revision: string } | undefined, options: Pick<EnvPut, 'expect'>): void {
  const subject = `env/${name}`
  if (old?.record.removing !== undefined) fail('conflict', `ENV ${name} is being removed`, { subject, remedy: 'try again in a moment' })
  if (options.expect === 'absent' && old) fail('exists', `there is an ENV ${name} already`, { subject, remedy: `choose another name, or \`tt env del ${name}\` first` })
  if (options.expect === undefined || options.expect === 'absent') return
  if (!old) fail('not_found', `there is no ENV ${JSON.stringify(name.slice(0, 80))}`, { subject, remedy: 'see `tt env list`' })
  if (options.expect !== old.revision) fail('conflict', `ENV ${name} was changed meanwhile`, { subject, remedy: 'read it again and repeat the change' })
}

function checkOwnUid(truth: Truth, uid: string | undefined, own: string | undefined, subject: string): void {
  checkUid(uid, subject)
  if (uid !== undefined && uid !== own && truth.envOf(uid)) fail('conflict', `the uid ${uid} belongs to another ENV`, { subject, remedy: 'choose another, or none' })
}

/** Nothing dies of a slip: an end that is over already is refused, and what has ended does not run on unless it gets more time. */
function checkTime({ name, created, spec: old }: EnvRecord, spec: EnvSpec, nowMs: number): void {
  const subject = `env/${name}`
  if (spec.lifetimeSeconds === null || Date.parse(created) + spec.lifetimeSeconds * 1000 > nowMs) return
  if (spec.lifetimeSeconds !== old.lifetimeSeconds) {
    fail('invalid', `the life time of ${spec.lifetimeSeconds} s, counted from its creation, is over already`, { subject, remedy: `\`tt env del ${name}\` deletes it` })
  }
  if (!spec.stopped) fail('conflict', `the time of ENV ${name} is over`, { subject, remedy: `give it more: \`tt env update ${name} --life-time +1h\`` })
}

function checkInterval({ name, powered }: EnvRecord, intervalSeconds: number, nowMs: number): void {
  const leftMs = powered === undefined ? 0 : Date.parse(powered) + intervalSeconds * 1000 - nowMs
  if (leftMs > 0) fail('not_ready', `ENV ${name} was stopped or started a moment ago: wait ${duration(Math.ceil(leftMs / 1000))}`, { subject: `env/${name}`, remedy: `between two of these are at least ${duration(intervalSeconds)} here` })
}

/** What marks an ENV to go, with its task; one that is going already gets a task of its own again, and another wish for its disks. */
export function removal({ truth, world }: Pick<EnvParts, 'truth' | 'world'>, { value: env, revision }: ViewEntry<EnvRecord>, options: { task?: string; keepDisks?: boolean; limitSeconds: number }): Write[] {
  const now = new Date(world.now()).toISOString()
  const { task: id = newUid(world), keepDisks, limitSeconds } = options
  const record: EnvRecord = { ...env, removing: env.removing ?? now, task: id, ...(keepDisks === undefined ? {} : { keepDisks }) }
  const task = taskOf(record, { verb: 'remove', state: 'running', now, limitSeconds, total: countVms(env.spec) })
  return [{ key: keys.env(env.name), value: record, expect: revision }, { key: keys.task(id), value: task, expect: 'absent' }, ...supersedes(truth, record, 'remove', now)]
}
