import type { TaskRecord } from '../model/records.ts'
import { follow } from '../store/follow.ts'
import type { View } from '../store/view.ts'

/** The tasks that are not over, by what is asked of them often. */
export interface OpenTasks extends Disposable {
  /** Ids of the tasks of an ENV. */
  of(envUid: string): ReadonlySet<string>
  /** How many ENVs are being made. */
  readonly creating: number
  /** Ids of those that wait for their turn, in the order they came. */
  readonly queued: ReadonlySet<string>
}

export function openTasks(tasks: View<TaskRecord>): OpenTasks {
  const byEnv = new Map<string, Set<string>>()
  const creating = new Set<string>()
  const queued = new Set<string>()
  const stop = follow(tasks, (_key, now, before) => {
    const { id, envUid, verb } = (now ?? before) as TaskRecord
    const ids = byEnv.get(envUid) ?? new Set<string>()
    if (now && (now.state === 'queued' || now.state === 'running')) byEnv.set(envUid, ids.add(id))
    else if (ids.delete(id) && ids.size === 0) byEnv.delete(envUid)
    if (now?.state === 'running' && verb === 'create') creating.add(id)
    else creating.delete(id)
    if (now?.state === 'queued') queued.add(id)
    else queued.delete(id)
  })
  return {
    of: (envUid) => byEnv.get(envUid) ?? none,
    get creating() {
      return creating.size
    },
    queued,
    [Symbol.dispose]: stop,
  }
}

const none: ReadonlySet<string> = new Set()
