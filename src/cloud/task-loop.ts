import { Loop } from '../base/loop.ts'
import type { Problem } from '../model/errors.ts'
import { countVms } from '../model/expand.ts'
import { type EnvRecord, keys, type PhaseRecord, type TaskRecord } from '../model/records.ts'
import { duration } from '../model/units.ts'
import { listen } from './env-listening.ts'
import type { EnvParts } from './parts.ts'
import { failureOf, isSettled, progressOf } from './settled.ts'
import { isOver } from './task-records.ts'
import { phaseOf, type Truth } from './truth.ts'

/** An ended task stays to be read for so long, and no more than so many of them. */
const keptMs = 3600 * 1000
const keptMost = 5000
const pruneEveryMs = 60_000
/** Timers of more than 24 days overflow, and clocks are set. */
const longestWaitMs = 6 * 3600 * 1000

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
  const tasks = [...truth.openTasks.of(envUid)].flatMap((id) => truth.tasks.entry(keys.task(id)) ?? [])
  if (tasks.length === 0) return
  await truth.reached(Math.max(...tasks.map(({ revision }) => revision))) // The ENV it decides by must be no older than its tasks.
  let next: number | undefined
  for (const { value: task, revision } of tasks) {
    const seen = truth.envs.entry(keys.env(task.env))
    const own = seen?.value.uid === task.envUid ? seen.value : undefined
    const ending = task.state === 'queued' ? undefined : endingOf(truth, task, own)
    const leftMs = task.started === undefined ? Infinity : Date.parse(task.started) + task.limitSeconds * 1000 - world.now()
    const end = ending ?? (leftMs <= 0 && task.verb !== 'create' ? late(truth, task, own) : undefined)
    if (!end) {
      next = Math.min(next ?? longestWaitMs, Math.max(leftMs, 1), longestWaitMs)
      continue
    }
    const done = end.state === 'done' ? (task.total ?? 0) : own ? progressOf(truth, own).done : 0
    const unchanged = { key: keys.env(task.env), expect: seen?.revision ?? ('absent' as const) } // A change that joined it meanwhile is not done yet.
    await store.commit([unchanged, { key: keys.task(task.id), value: { ...task, ...end, ended: new Date(world.now()).toISOString(), done, ...(own && end.state === 'done' && task.verb !== 'remove' ? { total: countVms(own.spec), done: countVms(own.spec) } : {}) }, expect: revision }])
    log[end.state === 'done' ? 'debug' : 'info'](`task ${end.state}`, { task: task.id, verb: task.verb, env: task.env, ...(end.problem ? { problem: end.problem.message } : {}) })
  }
  return next
}

function endingOf(truth: Truth, task: TaskRecord, env: EnvRecord | undefined): Ending | undefined {
  if (!env) return task.verb === 'remove' ? { state: 'done' } : { state: 'cancelled', problem: { code: 'cancelled', message: 'the ENV was deleted', subject: `env/${task.env}` } }
  if (env.removing !== undefined) return undefined // What it superseded was ended with it.
  const phase = phaseOf(truth, env)
  if (phase?.phase === 'failed') return { state: 'failed', problem: { code: 'failed', message: 'the ENV failed', subject: `env/${env.name}`, ...phase.problems?.[0]?.problem } }
  if (task.verb === 'create') return phase?.phase === 'ready' ? { state: 'done' } : undefined
  if (phase?.phase === 'creating' && !env.spec.stopped) return undefined
  const failure = failureOf(truth, env)
  if (failure) return { state: 'failed', problem: failure }
  return isSettled(truth, env) ? { state: 'done' } : undefined
}

function late(truth: Truth, task: TaskRecord, env: EnvRecord | undefined): Ending {
  const why = env && [...truth.vms.entries()].find(({ value }) => value.env === env.name && value.problem)?.value.problem
  const problem: Problem = { code: 'timeout', message: `it was not done within ${duration(task.limitSeconds)}${why ? `: ${why.message}` : ''}`, subject: `env/${task.env}`, remedy: why?.remedy ?? `see \`tt env show ${task.env}\`; the change goes on` }
  return { state: 'failed', problem }
}

/** Lets the first of those that wait begin, as far as there are places, and fails those that have waited too long. */
async function giveTurns({ store, truth, world, limits, log }: EnvParts): Promise<number | void> {
  let next: number | undefined
  for (const id of truth.openTasks.queued) {
    const seen = truth.tasks.entry(keys.task(id))
    const env = seen && truth.envs.entry(keys.env(seen.value.env))
    if (!seen || seen.value.state !== 'queued' || env?.value.uid !== seen.value.envUid) continue
    const now = new Date(world.now()).toISOString()
    const phase = truth.phases.entry(keys.phase(env.value.name))
    const leftMs = Date.parse(seen.value.created) + limits.queueSeconds * 1000 - world.now()
    if (leftMs > 0 && truth.openTasks.creating >= limits.creationsMax) {
      next = Math.min(next ?? longestWaitMs, leftMs)
      continue
    }
    const problem: Problem = { code: 'timeout', message: `it waited ${duration(limits.queueSeconds)} for its turn`, subject: `env/${env.value.name}`, remedy: 'try again when fewer ENVs are being made' }
    const inTime = leftMs > 0
    const begun: PhaseRecord = { uid: env.value.uid, phase: inTime ? 'creating' : 'failed', since: now, ...(inTime ? {} : { problems: [{ problem }] }) }
    const task: TaskRecord = inTime ? { ...seen.value, state: 'running', started: now } : { ...seen.value, state: 'failed', ended: now, problem }
    const revision = await store.commit([
      { key: keys.env(env.value.name), expect: env.revision },
      { key: keys.phase(env.value.name), value: begun, expect: phase?.revision ?? 'absent' },
      { key: keys.task(id), value: task, expect: seen.revision },
    ])
    await truth.reached(revision)
    log.info(inTime ? 'a task has its turn' : 'a task waited too long', { task: id, env: env.value.name })
  }
  return next
}

async function prune({ store, truth, world }: EnvParts): Promise<number> {
  const ended = truth.tasks.entries().filter(({ value }) => isOver(value)).sort((a, b) => ((a.value.ended ?? '') < (b.value.ended ?? '') ? -1 : 1))
  const old = ended.filter(({ value }, at) => Date.parse(value.ended ?? value.created) + keptMs <= world.now() || at < ended.length - keptMost)
  for (let at = 0; at < old.length; at += 500) await store.commit(old.slice(at, at + 500).map(({ key, revision }) => ({ key, value: null, expect: revision })))
  return pruneEveryMs
}
