import { fail, type Problem } from '../model/errors.ts'
import { type EnvRecord, keys, type TaskRecord } from '../model/records.ts'
import type { TaskState, TaskVerb } from '../model/task.ts'
import type { Write } from '../store/store.ts'
import type { ViewEntry } from '../store/view.ts'
import type { Truth } from './truth.ts'

/** The task of a change, as it is written with it. */
export function taskOf(env: EnvRecord, { verb, state, now, limitSeconds, total }: { verb: TaskVerb; state: TaskState; now: string; limitSeconds: number; total: number }): TaskRecord {
  const { name, uid, owner, task: id = '' } = env
  return { id, verb, env: name, envUid: uid, owner, created: now, state, limitSeconds, total, ...(state === 'queued' ? {} : { started: now }), ...(state === 'done' ? { ended: now, done: total } : {}) }
}

export const isOver = ({ state }: TaskRecord): boolean => state !== 'queued' && state !== 'running'

/** Whether a change with this id was made before. An id that is another ENV's is refused. */
export function isRepeat(truth: Truth, id: string | undefined, env: string): boolean {
  if (id === undefined) return false
  const subject = `env/${env}`
  if (!/^[a-z0-9]{4,32}$/.test(id)) fail('invalid', 'the id of a task is 4 to 32 of a-z and 0-9', { subject })
  const known = truth.tasks.get(keys.task(id))
  if (known && known.env !== env) fail('conflict', `the task ${id} is another's`, { subject, remedy: 'choose another id, or none' })
  return known !== undefined
}

/**
 * Ends the tasks that a change makes pointless: starts by a stop, stops by a start, all by a removal. Updates go on: what they asked for is
 * part of what is wanted now.
 */
export function supersedes(truth: Truth, env: EnvRecord, verb: TaskVerb, now: string): Write[] {
  const pointless: readonly TaskVerb[] = verb === 'remove' ? ['create', 'update', 'start', 'stop'] : verb === 'stop' ? ['start'] : verb === 'start' ? ['stop'] : []
  const problem: Problem = { code: 'cancelled', message: verb === 'remove' ? 'the ENV was deleted' : `a ${verb} came after it`, subject: `env/${env.name}` }
  return openOf(truth, env.uid).flatMap((seen) => (pointless.includes(seen.value.verb) ? [ending(seen, { state: 'cancelled', ended: now, problem })] : []))
}

/** Ends the tasks of a failed ENV that another one takes the name of: nobody could say later what became of it. */
export const failures = (truth: Truth, { name, uid }: EnvRecord, { problem, now }: { problem?: Problem; now: string }): Write[] =>
  openOf(truth, uid).map((seen) => ending(seen, { state: 'failed', ended: now, problem: { code: 'failed', message: 'the ENV failed', subject: `env/${name}`, ...problem } }))

/** The end of a task as a write, which fails if somebody else has ended it meanwhile: an end is final. */
export const ending = ({ key, value, revision }: ViewEntry<TaskRecord>, end: Pick<TaskRecord, 'state' | 'ended' | 'problem'> & Partial<TaskRecord>): Write => ({ key, value: { ...value, ...end }, expect: revision })

/** The tasks of an ENV that have not ended. */
export const openOf = (truth: Truth, envUid: string): ViewEntry<TaskRecord>[] =>
  [...truth.openTasks.of(envUid)].flatMap((id) => {
    const seen = truth.tasks.entry(keys.task(id))
    return seen && !isOver(seen.value) ? [seen] : []
  })
