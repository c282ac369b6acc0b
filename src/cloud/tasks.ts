import type { Collection } from '../model/cloud.ts'
import { fail } from '../model/errors.ts'
import { countVms, demandOf, minus, plus } from '../model/expand.ts'
import type { Resource } from '../model/kinds.ts'
import { shown } from '../model/names.ts'
import { type EnvRecord, keys, lastPart, type TaskRecord } from '../model/records.ts'
import type { TaskStatus } from '../model/task.ts'
import type { ViewEntry } from '../store/view.ts'
import { changes } from './changes.ts'
import { removal } from './env-put.ts'
import { listen } from './env-listening.ts'
import type { EnvParts } from './parts.ts'
import type { LedgerPlan, LedgerState } from './ledger.ts'
import { progressOf } from './settled.ts'
import { ending, isOver } from './task-records.ts'
import { phaseOf, type Truth } from './truth.ts'

/** Tasks: made with the change they are of, so that none is ever lost between the two; ended by `runTasks`. */
export function taskCollection(parts: EnvParts): Collection<'task'> {
  const { truth } = parts
  const resource = (id: string) => {
    const seen = truth.tasks.entry(keys.task(id))
    return seen && taskResource(truth, seen)
  }
  const missing = (id: string): never => fail('not_found', `there is no task ${shown(id)}`, { subject: `task/${id}`, remedy: 'see `tt task list`; a task is kept for an hour after its end' })
  const names = (under?: string) => [...truth.tasks.values()].filter(({ env }) => under === undefined || env === under).sort((a, b) => (a.created < b.created ? -1 : 1)).map(({ id }) => id)
  return {
    get: async (id) => resource(id) ?? missing(id),
    list: async (options) => ({ items: names(options?.under).flatMap((id) => resource(id) ?? []), missing: [] }),
    put: async (id) => fail('unsupported', 'tasks are made by the changes they are of', { subject: `task/${id}` }),
    async remove(id, _options, call) {
      await parts.ledger.change((state) => {
        const seen = truth.tasks.entry(keys.task(id)) ?? missing(id)
        return isOver(seen.value) ? undefined : cancelling(parts, seen, state)
      }, call)
    },
    watch: (options, call) =>
      changes(
        {
          names: () => names(options?.under),
          get: resource,
          listen(touch) {
            const stops = [
              truth.tasks.onChange(({ key, value }, before) => (options?.under === undefined || (value ?? before)?.env === options.under) && touch(lastPart(key))),
              listen(truth, (name) => {
                if (options?.under !== undefined && options.under !== name) return
                const uid = truth.envs.get(keys.env(name))?.uid
                if (uid !== undefined) for (const id of truth.openTasks.of(uid)) touch(id)
              }),
            ]
            return () => stops.forEach((stop) => stop())
          },
        },
        call,
      ),
  }
}

/** Plans what takes a task back: an ENV in the making goes, one that is being started is halted again. */
function cancelling(parts: EnvParts, seen: ViewEntry<TaskRecord>, state: LedgerState): LedgerPlan {
  const { truth, world, limits } = parts
  const { value: task } = seen
  const subject = `task/${task.id}`
  const env = truth.envs.entry(keys.env(task.env))
  const now = new Date(world.now()).toISOString()
  if (!env || env.value.uid !== task.envUid || env.value.removing !== undefined || phaseOf(truth, env.value)?.phase === 'failed') fail('conflict', `ENV ${task.env} has failed, is being removed or gone already`, { subject })
  if (task.verb === 'create' && phaseOf(truth, env.value)?.phase === 'creating') return { ...state, writes: removal(parts, env, { limitSeconds: limits.changeSeconds }), touches: [`env/${task.env}`] }
  if (task.verb !== 'start' || env.value.spec.stopped) {
    fail('unsupported', `${task.verb === 'create' ? 'what is made already' : `what was begun by ${task.verb}`} cannot be taken back`, { subject, remedy: task.verb === 'stop' ? `start it again: \`tt env start ${task.env}\`` : `see \`tt env show ${task.env}\`` })
  }
  const spec = { ...env.value.spec, stopped: true }
  const record: EnvRecord = { ...env.value, powered: now, spec }
  const problem = { code: 'cancelled' as const, message: 'it was cancelled; its ENV is halted again', subject: `env/${task.env}` }
  return {
    ...state,
    writes: [{ key: keys.env(task.env), value: record, expect: env.revision }, ending(seen, { state: 'cancelled', ended: now, problem })],
    used: plus(minus(state.used, demandOf(env.value.spec)), demandOf(spec)),
    touches: [`env/${task.env}`],
  }
}

function taskResource(truth: Truth, { value: task, revision }: ViewEntry<TaskRecord>): Resource<'task'> {
  const { id, verb, env, envUid, owner, created, limitSeconds } = task
  return { kind: 'task', name: id, uid: `${envUid}.${id}`, revision: String(revision), owner, created, spec: { verb, subject: `env/${env}`, limitSeconds }, status: statusOf(truth, { value: task, revision }) }
}

function statusOf(truth: Truth, { value: task, revision }: Pick<ViewEntry<TaskRecord>, 'value' | 'revision'>): TaskStatus {
  const { state, started, ended, problem } = task
  const env = truth.envs.get(keys.env(task.env))
  const live = !isOver(task) && env?.uid === task.envUid ? progressOf(truth, env, revision) : undefined
  const found = problem ?? live?.problem
  return {
    state,
    done: live?.done ?? task.done ?? 0,
    total: live === undefined || task.verb === 'remove' ? (task.total ?? 0) : countVms((env as EnvRecord).spec),
    ...(started === undefined ? {} : { started }),
    ...(ended === undefined ? {} : { ended }),
    ...(found === undefined ? {} : { problem: found }),
  }
}
