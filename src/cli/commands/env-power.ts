import type { Cloud } from '../../model/cloud.ts'
import type { Resource } from '../../model/kinds.ts'
import type { TaskVerb } from '../../model/task.ts'
import { changedEnv } from '../env-change.ts'
import { patienceOf, waitFlags } from '../flag-values.ts'
import type { Action, Invocation } from '../invocation.ts'
import { changeEach, envNames } from '../several.ts'
import { isOver } from '../task-waiting.ts'

const operands = [{ name: 'NAME', many: true, of: 'env' }] as const

/** `tt env stop NAME…`. */
export const stop: Action = {
  operands,
  flags: waitFlags('all VMs are halted'),
  details: ['Disks, addresses and ports stay; cpu and memory are given back. What is stopped already stays so.'],
  examples: [{ line: 'tt env stop demo', about: 'halt its VMs' }],
  run: (invocation) => power(invocation, { stopped: true, verb: 'stop', going: 'being stopped', done: 'stopped' }),
}

/** `tt env start NAME…`. */
export const start: Action = {
  operands,
  flags: waitFlags('all VMs answer'),
  details: ['The same VMs come back with their disks, addresses and ports. It is refused as a whole if there is no room for them any more.'],
  examples: [{ line: 'tt env start demo', about: 'start its VMs again and wait until they answer' }],
  run: (invocation) => power(invocation, { stopped: false, verb: 'start', going: 'being started', done: 'started' }),
}

interface Turn {
  stopped: boolean
  verb: TaskVerb
  going: string
  done: string
}

async function power(invocation: Invocation, { stopped, verb, going, done }: Turn): Promise<void> {
  const names = envNames(invocation)
  const patience = patienceOf(invocation.given)
  const cloud = await invocation.cloud()
  await changeEach(invocation, names, {
    cloud,
    patience,
    async ask(name, task) {
      const ended = verb === 'start' && (await hasEnded(invocation, cloud, name))
      const change = ({ spec }: Resource<'env'>) => (spec.stopped !== stopped ? { ...spec, stopped } : ended ? { ...spec, starts: spec.starts + 1 } : undefined)
      const { after } = await changedEnv(cloud, name, { task, call: invocation.call, change })
      if (after.status?.task === task) return { task, going, done }
      const earlier = await goingTask(invocation, cloud, after, verb)
      return earlier === undefined ? { going, done: `${done} already` } : { task: earlier, going, done }
    },
  })
}

/** The task that is doing already what is asked for: to wait for that is what a repetition means. */
async function goingTask({ call }: Invocation, cloud: Cloud, { status }: Resource<'env'>, verb: TaskVerb): Promise<string | undefined> {
  if (status?.task === undefined) return undefined
  const task = await cloud.collection('task').get(status.task, call).catch(() => undefined) // Long over, or not ours to see.
  return task?.spec.verb === verb && task.status && !isOver(task.status.state) ? task.name : undefined
}

/** Whether it runs but for VMs that ended by themselves or could not be started: to start it tries these again. */
async function hasEnded({ call }: Invocation, cloud: Cloud, name: string): Promise<boolean> {
  const { spec, status } = await cloud.collection('env').get(name, call)
  if (spec.stopped || status?.phase !== 'ready' || status.ready >= status.vms) return false
  const { items } = await cloud.collection('vm').list({ under: name }, call)
  return items.some(({ status: vm }) => vm?.state === 'stopped' || vm?.state === 'failed')
}
