import { Loop } from '../base/loop.ts'
import type { Problem } from '../model/errors.ts'
import { countVms } from '../model/expand.ts'
import { type EnvRecord, keys, type PhaseRecord, type TaskRecord } from '../model/records.ts'
import { duration } from '../model/units.ts'
import type { ViewEntry } from '../store/view.ts'
import { listen } from './env-listening.ts'
import type { EnvParts } from './parts.ts'
import { failureOf, isSettled, progressOf, saidAt } from './settled.ts'
import { ending, isOver, openOf } from './task-records.ts'
import { phaseOf, type Truth } from './truth.ts'

/** An ended task stays to be read for so long, and no more than so many of them. */
const keptMs = 3600 * 1000
const keptMost = 5000
/** So many beyond that are let go at once, not with the next look. */
const keptSlack = 1000
const pruneEveryMs = 60_000

/** Ends tasks, gives those that wait their turn, and forgets old ones. The only writer of tasks besides the changes that make and supersede them. */
export function runTasks(parts: EnvParts): AsyncDisposable {
  const { truth, world, log } = parts
  const onFault = (key: string, fault: unknown, tries: number) => (tries > 3 ? log.warn('a task could not be written', { of: key, fault: String(fault), tries }) : undefined)
  const ends = new Loop((uid) => endTasks(parts, uid), { name: 'ends of tasks', world, width: 8, backoffMs: { first: 5, last: 2000 }, onFault })
  const chores = new Loop((chore) => (chore === 'turns' ? giveTurns(parts) : prune(parts)), { name: 'turns of tasks', world, width: 2, backoffMs: { first: 5, last: 2000 }, onFault })
  const stops = [
    listen(truth, (name) => {
      const uid = truth.envs.get(keys.env(name))?.uid
      if (uid !== undefined && truth.openTasks.of(uid).size > 0) ends.touch(uid)
    }),
    truth.envs.onChange(({ value }, before) => before && value?.uid !== before.uid && ends.touch(before.uid)),
    truth.applieds.onChange(({ key }) => ends.touch(key.split('/')[2] ?? '')),
    truth.tasks.onChange(({ value }) => {
      if (value && !isOver(value)) ends.touch(value.envUid)
      if (truth.openTasks.queued.size > 0) chores.touch('turns')
      if (truth.openTasks.ended > keptMost + keptSlack) chores.touch('old')
    }),
  ]
  for (const task of truth.tasks.values()) if (!isOver(task)) ends.touch(task.envUid)
  chores.touch('turns')
  chores.touch('old')
  return {
    async [Symbol.asyncDispose]() {
      stops.forEach((stop) => stop())
      await Promise.all([ends[Symbol.asyncDispose](), chores[Symbol.asyncDispose]()])
    },
  }
}

type Ending = Pick<TaskRecord, 'state' | 'problem'>

/** Ends those tasks of an ENV that are over; a number is when one of them is late. */
async function endTasks({ store, truth, world, log }: EnvParts, envUid: string): Promise<number | void> {
  const tasks = openOf(truth, envUid)
  const [first] = tasks
  if (!first) return
  if (truth.leftOut.has(keys.env(first.value.env))) return pruneEveryMs // Of an ENV nobody can read nobody knows how far it is.
  const known = truth.envs.get(keys.env(first.value.env))
  // The ENV and what its hosts have must be no older than its tasks and what its hosts say.
  await truth.reached(Math.max(known ? saidAt(truth, known) : 0, ...tasks.map(({ revision }) => revision)))
  let next: number | undefined
  for (const open of tasks) {
    const { value: task } = open
    const seen = truth.envs.entry(keys.env(task.env))
    const own = seen?.value.uid === task.envUid ? seen.value : undefined
    const leftMs = task.started === undefined ? Infinity : Date.parse(task.started) + task.limitSeconds * 1000 - world.now()
    const end = endingOf(truth, open, own) ?? (leftMs <= 0 && task.verb !== 'create' ? late(truth, task, own) : undefined)
    if (!end) {
      if (task.verb !== 'create') next = Math.min(next ?? leftMs, leftMs) // A creation has its end from its phase.
      continue
    }
    const total = own && task.verb !== 'remove' ? countVms(own.spec) : (task.total ?? 0)
    const done = end.state === 'done' ? total : own ? progressOf(truth, own, open.revision).done : 0
    const unchanged = { key: keys.env(task.env), expect: seen?.revision ?? ('absent' as const) } // A change that joined it meanwhile is not done yet.
    await store.commit([unchanged, ending(open, { ...end, ended: new Date(world.now()).toISOString(), done, total })])
    log[end.state === 'done' ? 'debug' : 'info'](`task ${end.state}`, { task: task.id, verb: task.verb, env: task.env, ...(end.problem ? { problem: end.problem.message } : {}) })
  }
  return next
}

/** How a task has ended, if it has; `env` is the one it is of, unless that is gone. */
function endingOf(truth: Truth, { value: task, revision }: ViewEntry<TaskRecord>, env: EnvRecord | undefined): Ending | undefined {
  if (!env) return task.verb === 'remove' ? { state: 'done' } : { state: 'cancelled', problem: { code: 'cancelled', message: 'the ENV was deleted', subject: `env/${task.env}` } }
  if (env.removing !== undefined) return undefined // What a removal supersedes is ended with it.
  const phase = phaseOf(truth, env)
  if (phase?.phase === 'failed') return { state: 'failed', problem: { code: 'failed', message: 'the ENV failed', subject: `env/${env.name}`, ...phase.problems?.[0]?.problem } }
  if (task.verb === 'create') return phase?.phase === 'ready' ? { state: 'done' } : undefined
  if (phase?.phase === 'creating' && !env.spec.stopped) return undefined
  const failure = failureOf(truth, env, revision)
  if (failure) return { state: 'failed', problem: failure }
  return isSettled(truth, env) ? { state: 'done' } : undefined
}

function late(truth: Truth, task: TaskRecord, env: EnvRecord | undefined): Ending {
  const why = env && truth.vms.values(`${keys.vms}${env.uid}.`).find(({ problem }) => problem)?.problem
  const problem: Problem = { code: 'timeout', message: `it was not done within ${duration(task.limitSeconds)}${why ? `: ${why.message}` : ''}`, subject: `env/${task.env}`, remedy: why?.remedy ?? `see \`tt env show ${task.env}\`; the change goes on` }
  return { state: 'failed', problem }
}

/** Lets the first of those that wait begin, as far as there are places, and fails those that have waited too long. */
async function giveTurns({ store, truth, world, limits, log }: EnvParts): Promise<number | void> {
  for (const id of truth.openTasks.queued) {
    const seen = truth.tasks.entry(keys.task(id))
    const env = seen && truth.envs.entry(keys.env(seen.value.env))
    if (!seen || seen.value.state !== 'queued' || env?.value.uid !== seen.value.envUid || env.value.removing !== undefined) continue
    const { name, uid } = env.value
    const leftMs = Date.parse(seen.value.created) + limits.queueSeconds * 1000 - world.now()
    if (leftMs > 0 && truth.openTasks.creating >= limits.creationsMax) return leftMs // Who came later has waited less.
    const now = new Date(world.now()).toISOString()
    const problem: Problem = { code: 'timeout', message: `it waited ${duration(limits.queueSeconds)} for its turn`, subject: `env/${name}`, remedy: 'try again when fewer ENVs are being made' }
    const inTime = leftMs > 0
    const begun: PhaseRecord = { uid, phase: inTime ? 'creating' : 'failed', since: now, ...(inTime ? {} : { problems: [{ problem }] }) }
    const revision = await store.commit([
      { key: keys.env(name), expect: env.revision },
      { key: keys.phase(name), value: begun, expect: truth.phases.entry(keys.phase(name))?.revision ?? 'absent' },
      inTime ? { key: seen.key, value: { ...seen.value, state: 'running', started: now } satisfies TaskRecord, expect: seen.revision } : ending(seen, { state: 'failed', ended: now, problem }),
    ])
    await truth.reached(revision)
    log.info(inTime ? 'a task has its turn' : 'a task waited too long', { task: id, env: name })
  }
}

async function prune({ store, truth, world }: EnvParts): Promise<number> {
  const ended = truth.tasks.entries().filter(({ value }) => isOver(value)).sort((a, b) => ((a.value.ended ?? '') < (b.value.ended ?? '') ? -1 : 1))
  const old = ended.filter(({ value }, at) => Date.parse(value.ended ?? value.created) + keptMs <= world.now() || at < ended.length - keptMost)
  // What has ended never changes, so another server that forgets the same does no harm.
  for (let at = 0; at < old.length; at += 500) await store.commit(old.slice(at, at + 500).map(({ key }) => ({ key, value: null })))
  return pruneEveryMs
}
