import { deadline } from '../base/world.ts'
import type { Cloud } from '../model/cloud.ts'
import { asTtError, errorOf, fail } from '../model/errors.ts'
import type { Resource } from '../model/kinds.ts'
import type { TaskVerb } from '../model/task.ts'
import type { Patience } from './flag-values.ts'
import type { Invocation } from './invocation.ts'
import { limitText } from './moments.ts'
import type { Progress } from './progress.ts'
import { counted, visible } from './text.ts'
import { steadyWatch } from './watching.ts'

/** The ENV of a task, and how long to wait for it. */
interface Sought extends Pick<Patience, 'limitMs'> {
  under?: string
}

interface Waiting extends Pick<Invocation, 'terminal'> {
  cloud: Cloud
  progress: Progress
}

/** What a task does to VMs, as one says of those that are through. */
const through: Record<TaskVerb, string> = { create: 'ready', update: 'as asked', stop: 'halted', start: 'ready', remove: 'gone' }

/** Waits until a task is over and returns it, however it ended. */
export async function taskOver(id: string, { terminal, cloud, progress }: Waiting, { under, limitMs }: Sought = {}): Promise<Resource<'task'>> {
  const { world } = terminal
  using limit = limitMs === undefined ? undefined : deadline(world, limitMs, terminal.signal)
  const signal = limit?.signal ?? terminal.signal
  let there = true
  try {
    for await (const change of steadyWatch(cloud, 'task', { under, all: true, world, signal, onLost: () => progress.show(`${under ?? `task ${id}`}: the server does not answer, asking again`) })) {
      if (change.type === 'began') there = false
      const forgotten = (change.type === 'synced' && !there) || (change.type === 'gone' && change.name === id)
      if (forgotten) fail('not_found', `there is no task ${id} any more`, { subject: `task/${id}`, remedy: 'see `tt task list`' })
      if (change.type !== 'is' || change.resource.name !== id) continue
      there = true
      const { status } = change.resource
      if (status && isOver(status.state)) return change.resource
      progress.show(stand(change.resource))
    }
  } catch (thrown) {
    if (asTtError(thrown).code !== 'cancelled' || terminal.signal.aborted) throw thrown
    fail('timeout', `task ${id} is not over after ${limitText(limitMs ?? 0)}; it goes on`, { subject: `task/${id}`, remedy: `wait for it by \`tt task wait ${id}\`` })
  }
  return fail('cancelled', 'interrupted')
}

/** Waits until a task is done; one that failed or was cancelled is its error. Ctrl-C ends the waiting, not the task. */
export async function taskDone(id: string, waiting: Waiting, { under, limitMs }: Sought & { under: string }): Promise<void> {
  const subject = `env/${under}`
  try {
    checkDone(await taskOver(id, waiting, { under, limitMs }), subject)
  } catch (thrown) {
    if (asTtError(thrown).code !== 'cancelled' || !waiting.terminal.signal.aborted) throw thrown
    fail('cancelled', `interrupted; what was asked of ENV ${under} goes on`, { remedy: `see \`tt task show ${id}\`` })
  }
}

/** Refuses with the reason of a task that is not done. */
export function checkDone({ name, status }: Resource<'task'>, subject: string): void {
  if (status?.state === 'done') return
  const problem = status?.problem
  if (status?.state === 'cancelled') throw errorOf({ code: 'cancelled', message: problem?.message ?? `task ${name} was cancelled`, subject })
  throw errorOf({ code: 'failed', message: `task ${name} has failed`, subject, ...problem })
}

export const isOver = (state: string): boolean => state === 'done' || state === 'failed' || state === 'cancelled'

/** How far a task is, for people: `demo: 3 of 10 VMs ready`. */
function stand({ spec, status }: Resource<'task'>): string {
  const what = spec.subject.slice(spec.subject.indexOf('/') + 1)
  if (!status || status.state === 'queued') return `${what}: waits for its turn`
  const held = status.problem === undefined ? '' : `; ${visible(status.problem.message)}`
  return `${what}: ${status.done} of ${counted(status.total, 'VM')} ${through[spec.verb]}${held}`
}
