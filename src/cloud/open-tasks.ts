import type { TaskRecord } from '../model/records.ts'
import type { View } from '../store/view.ts'

/** The tasks that are not over, by what is asked of them often. */
export interface OpenTasks extends Disposable {
  /** Ids of the tasks of an ENV. */
  of(envUid: string): ReadonlySet<string>
  /** How many ENVs are being made. */
  readonly creating: number
  /** Ids of those that wait for their turn, in the order they came, also those of an earlier life of the server. */
  readonly queued: ReadonlySet<string>
  /** How many are over and still told of. */
  readonly ended: number
}

export function openTasks(tasks: View<TaskRecord>): OpenTasks {
  const byEnv = new Map<string, Set<string>>()
  const creating = new Set<string>()
  const queued = new Set<string>()
  let open = 0
  const note = (now: TaskRecord | undefined, before: TaskRecord | undefined) => {
    const { id, envUid, verb } = (now ?? before) as TaskRecord
    open += (isOpen(now) ? 1 : 0) - (isOpen(before) ? 1 : 0)
    const ids = byEnv.get(envUid) ?? new Set<string>()
    if (isOpen(now)) byEnv.set(envUid, ids.add(id))
    else if (ids.delete(id) && ids.size === 0) byEnv.delete(envUid)
    if (now?.state === 'running' && verb === 'create') creating.add(id)
    else creating.delete(id)
    if (now?.state === 'queued') queued.add(id)
    else queued.delete(id)
  }
  const stop = tasks.onChange(({ value }, before) => note(value, before))
  for (const { value } of tasks.entries().sort((a, b) => a.revision - b.revision)) note(value, undefined)
  return {
    of: (envUid) => byEnv.get(envUid) ?? none,
    get creating() {
      return creating.size
    },
    queued,
    get ended() {
      return tasks.size - open
    },
    [Symbol.dispose]: stop,
  }
}

const isOpen = (task: TaskRecord | undefined): boolean => task?.state === 'queued' || task?.state === 'running'
const none: ReadonlySet<string> = new Set()
