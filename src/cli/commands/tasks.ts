import type { Cloud } from '../../model/cloud.ts'
import { errorOf, fail } from '../../model/errors.ts'
import type { Resource } from '../../model/kinds.ts'
import { shown } from '../../model/names.ts'
import { type TaskState, taskStates } from '../../model/task.ts'
import { duration } from '../../model/units.ts'
import type { Action, Invocation } from '../invocation.ts'
import { ago } from '../moments.ts'
import { eachOf, tellOutcomes } from '../several.ts'
import { taskShape } from '../shapes.ts'
import { type Column, facts, table } from '../table.ts'
import { isOver } from '../task-waiting.ts'
import { type Colour, painted, visible } from '../text.ts'

type Task = Resource<'task'>

/** `tt task list`. */
export const list: Action = {
  operands: [{ name: 'ENV', optional: true, of: 'env' }],
  flags: [
    { long: 'quiet', short: 'q', about: 'Print ids only, one a line' },
    { long: 'state', value: 'STATE', list: 'commas', of: 'state', about: `Only those that are ${taskStates.join(', ')}` },
    { long: 'all', short: 'a', about: "Also those of others' ENVs, as far as you may see them" },
  ],
  details: ['Every change of an ENV that takes time is a task. It is kept for an hour after its end.'],
  examples: [
    { line: 'tt task list', about: 'what goes on, and what went on in the last hour' },
    { line: 'tt task list demo --state running', about: 'what is being done to demo' },
  ],
  async run(invocation) {
    const { given, call, json, quiet, terminal, print, printJson } = invocation
    const [under] = given.operands
    const states = given.all('state').map(stateAsked)
    const cloud = await invocation.cloud()
    const { items, missing } = await cloud.collection('task').list({ ...(under === undefined ? {} : { under }), ...(given.has('all') ? { all: true } : {}) }, call)
    const tasks = items.filter(({ status }) => states.length === 0 || states.includes(status?.state ?? 'queued'))
    if (json) await printJson({ tasks: tasks.map(taskShape), missing })
    else if (quiet) for (const { name } of tasks) await print(visible(name))
    else await print(table(tasks, columns(terminal.world.now()), terminal.out.screen()))
    for (const problem of missing) await invocation.report(errorOf(problem))
  },
}

/** `tt task show ID…`. */
export const show: Action = {
  operands: [{ name: 'ID', many: true, of: 'task' }],
  flags: [],
  examples: [{ line: 'tt task show 6f1d2a3b4c5d6e7f', about: 'its state, how far it is, and why it failed if it did' }],
  async run(invocation) {
    const { given, json, terminal, print, printJson } = invocation
    const cloud = await invocation.cloud()
    const found = await Promise.allSettled([...new Set(given.operands)].map((id) => taskOf(invocation, cloud, id)))
    const tasks = found.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    if (json) await printJson({ tasks: tasks.map(taskShape) })
    else if (tasks.length > 0) await print(tasks.map((task) => `${painted(visible(task.name), 'bold', terminal.out.screen())}\n${details(task, terminal.world.now())}`).join('\n\n'))
    for (const one of found) if (one.status === 'rejected') await invocation.report(one.reason)
  },
}

/** `tt task cancel ID…`. */
export const cancel: Action = {
  operands: [{ name: 'ID', many: true, of: 'task' }],
  flags: [],
  details: ['An ENV that is being made is deleted, one that is being started is halted again. What is over stays as it is; what cannot be taken back is refused.'],
  examples: [{ line: 'tt task cancel 6f1d2a3b4c5d6e7f', about: 'take it back' }],
  async run(invocation) {
    const cloud = await invocation.cloud()
    const outcomes = await eachOf(invocation, [...new Set(invocation.given.operands)], async (id) => {
      const { status } = await taskOf(invocation, cloud, id)
      if (status && isOver(status.state)) return `is ${status.state} already`
      await cloud.collection('task').remove(id, {}, invocation.call)
      return 'cancelled'
    })
    await tellOutcomes(invocation, outcomes)
  },
}

/** A task by its id; what cannot be one is refused before anybody is asked. */
export async function taskOf({ call }: Pick<Invocation, 'call'>, cloud: Cloud, id: string): Promise<Task> {
  if (!/^[a-z0-9]{4,32}$/.test(id)) fail('invalid', `${shown(id)} is not the id of a task`, { remedy: 'see `tt task list`' })
  return cloud.collection('task').get(id, call)
}

const stateAsked = (text: string): TaskState => taskStates.find((state) => state === text) ?? fail('invalid', `--state is ${shown(text)}, allowed is ${taskStates.join(', ')}`)

const colours: Record<TaskState, Colour | undefined> = { queued: 'yellow', running: 'yellow', done: 'green', failed: 'red', cancelled: 'dim' }
const stateOf = ({ status }: Task): TaskState => status?.state ?? 'queued'

const columns = (nowMs: number): Column<Task>[] => [
  { title: 'TASK', text: ({ name }) => name },
  { title: 'DOES', text: ({ spec }) => `${spec.verb} ${spec.subject.replace(/^env\//, '')}` },
  { title: 'STATE', text: stateOf, colour: (task) => colours[stateOf(task)] },
  { title: 'VMS', align: 'right', text: ({ status }) => (status ? `${status.done}/${status.total}` : '') },
  { title: 'BEGAN', text: ({ created }) => ago(created, nowMs) },
  { title: 'TOOK', align: 'right', text: (task) => tookText(task, nowMs) },
  { title: 'WHY', cut: true, text: ({ status }) => status?.problem?.message ?? '' },
]

function tookText({ status }: Task, nowMs: number): string {
  if (status?.started === undefined) return ''
  const seconds = ((status.ended === undefined ? nowMs : Date.parse(status.ended)) - Date.parse(status.started)) / 1000
  return seconds < 10 ? `${Math.max(0, seconds).toFixed(1)} s` : duration(seconds)
}

function details(task: Task, nowMs: number): string {
  const { spec, status, owner, created } = task
  const { problem } = status ?? {}
  const pairs: [string, string][] = [
    ['does', `${spec.verb} ${spec.subject.replace(/^env\//, '')}`],
    ['state', stateOf(task)],
    ['VMs', status ? `${status.done} of ${status.total}` : ''],
    ['asked', `${ago(created, nowMs)}, by ${owner}`],
    ['took', tookText(task, nowMs)],
    ['limit', duration(spec.limitSeconds)],
    ...(problem ? [['why', `${problem.subject === undefined ? '' : `${problem.subject.replace(/^\w+\//, '')}: `}${problem.message} (${problem.code})`] as [string, string]] : []),
    ...(problem?.remedy === undefined ? [] : [['remedy', problem.remedy] as [string, string]]),
  ]
  return facts(pairs).replaceAll(/^/gm, '  ')
}
