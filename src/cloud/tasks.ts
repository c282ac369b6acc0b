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
import { isOver } from './task-records.ts'
import { phaseOf, type Truth } from './truth.ts'

/** Tasks: made with the change they are of, so that none is ever lost between the two; ended by `runTasks`. */
export function taskCollection(parts: EnvParts): Collection<'task'> {
  const { truth } = parts
  const resource = (id: string) => {
    const seen = truth.tasks.entry(keys.task(id))
    return seen && taskResource(truth, seen)
  }
  const missing = (id: string): never => fail('not_found', `there is no task ${shown(id)}`, { subject: `task/${id}`, remedy: 'see `tt task list`; a task is kept for an hour after its end' })
  const names = () => [...truth.tasks.values()].sort((a, b) => (a.created < b.created ? -1 : 1)).map(({ id }) => id)
  return {
    get: async (id) => resource(id) ?? missing(id),
    list: async (options) => ({ items: names().flatMap((id) => resource(id) ?? []).filter(({ spec }) => options?.under === undefined || spec.subject === `env/${options.under}`), missing: [] }),
    put: async (id) => fail('unsupported', 'tasks are made by the changes they are of', { subject: `task/${id}` }),
    async remove(id, _options, call) {
      await parts.ledger.change((state) => {
        const task = truth.tasks.get(keys.task(id)) ?? missing(id)
        return isOver(task) ? undefined : cancelling(parts, task, state)
      }, call)
    },
    watch: (_options, call) =>
      changes(
        {
          names,
          get: resource,
          listen(touch) {
            const stops = [
              truth.tasks.onChange(({ key }) => touch(lastPart(key))),
              listen(truth, (name) => {
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
function cancelling(parts: EnvParts, task: TaskRecord, state: LedgerState): LedgerPlan {
  const { truth, world, limits } = parts
  const subject = `task/${task.id}`
  const env = truth.envs.entry(keys.env(task.env))
  const now = new Date(world.now()).toISOString()
  if (!env || env.value.uid !== task.envUid || env.value.removing !== undefined) fail('conflict', `ENV ${task.env} is being removed or gone already`, { subject })
  if (task.verb === 'create' && phaseOf(truth, env.value)?.phase === 'creating') return { ...state, writes: removal(parts, env, { limitSeconds: limits.changeSeconds }), touches: [`env/${task.env}`] }
  if (task.verb !== 'start' || env.value.spec.stopped) {
    fail('unsupported', `${task.verb === 'create' ? 'what is made already' : `an ${task.verb} that has begun`} cannot be taken back`, { subject, remedy: task.verb === 'stop' ? `start it again: \`tt env start ${task.env}\`` : `see \`tt env show ${task.env}\`` })
  }
  const spec = { ...env.value.spec, stopped: true }
  const record: EnvRecord = { ...env.value, powered: now, spec }
  const cancelled: TaskRecord = { ...task, state: 'cancelled', ended: now, problem: { code: 'cancelled', message: 'it was cancelled; its ENV is halted again', subject: `env/${task.env}` } }
  return {
    ...state,
    writes: [{ key: keys.env(task.env), value: record, expect: env.revision }, { key: keys.task(task.id), value: cancelled }],
    used: plus(minus(state.used, demandOf(env.value.spec)), demandOf(spec)),
    touches: [`env/${task.env}`],
  }
}

function taskResource(truth: Truth, { value: task, revision }: ViewEntry<TaskRecord>): Resource<'task'> {
  const { id, verb, env, envUid, owner, created, limitSeconds } = task
  return { kind: 'task', name: id, uid: `${envUid}.${id}`, revision: String(revision), owner, created, spec: { verb, subject: `env/${env}`, limitSeconds }, status: statusOf(truth, task) }
}

function statusOf(truth: Truth, task: TaskRecord): TaskStatus {
  const { state, started, ended, problem } = task
  const env = truth.envs.get(keys.env(task.env))
  const live = !isOver(task) && env?.uid === task.envUid ? progressOf(truth, env) : undefined
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
