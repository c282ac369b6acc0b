import type { Cloud } from '../../model/cloud.ts'
import { asTtError, fail, type Problem } from '../../model/errors.ts'
import type { VmState } from '../../model/vm.ts'
import { changedEnv } from '../env-change.ts'
import type { Action, Invocation } from '../invocation.ts'
import { progress } from '../progress.ts'
import { eachOf, envNames, tellOutcomes } from '../several.ts'
import { counted } from '../text.ts'
import { steadyWatch } from '../watching.ts'

const operands = [{ name: 'NAME', many: true, of: 'env' }] as const
const flags = [{ long: 'no-wait', about: 'Do not wait for the VMs' }] as const

/** `tt env stop NAME…`. */
export const stop: Action = {
  operands,
  flags,
  details: ['Disks, addresses and ports stay; cpu and memory are given back. What is stopped already stays so.'],
  examples: [{ line: 'tt env stop demo', about: 'halt its VMs' }],
  run: (invocation) => power(invocation, { stopped: true, states: ['stopped', 'failed', 'lost'], doing: 'halted', done: 'stopped' }),
}

/** `tt env start NAME…`. */
export const start: Action = {
  operands,
  flags,
  details: ['The same VMs come back with their disks, addresses and ports. It is refused as a whole if there is no room for them any more.'],
  examples: [{ line: 'tt env start demo', about: 'start its VMs again and wait until they answer' }],
  run: (invocation) => power(invocation, { stopped: false, states: ['ready', 'failed', 'lost'], doing: 'ready', done: 'started' }),
}

interface Turn {
  stopped: boolean
  /** A VM in one of these has come to rest. */
  states: VmState[]
  doing: string
  done: string
}

/** Asks for all first and waits afterwards, so that they halt or boot at the same time. */
async function power(invocation: Invocation, turn: Turn): Promise<void> {
  const names = envNames(invocation)
  const cloud = await invocation.cloud()
  const asked = await eachOf(invocation, names, async (name) => {
    let done = turn.done
    await changedEnv(cloud, name, {
      call: invocation.call,
      change({ spec }) {
        if (spec.stopped === turn.stopped) done = `${turn.done} already`
        return spec.stopped === turn.stopped ? undefined : { ...spec, stopped: turn.stopped }
      },
    })
    return done
  })
  const wait = !invocation.given.has('no-wait')
  const under = asked.flatMap(({ name, done }) => (wait && done === turn.done ? [name] : []))
  const rests = await eachOf(invocation, under, async (name) => {
    await rested(invocation, cloud, { name, turn })
    return turn.done
  })
  await tellOutcomes(
    invocation,
    asked.map((one) => rests.find(({ name }) => name === one.name) ?? one),
  )
}

/** Waits until every VM has come to rest; one that failed on the way is the error of the ENV. */
async function rested(invocation: Invocation, cloud: Cloud, { name, turn }: { name: string; turn: Turn }): Promise<void> {
  const { world, signal } = invocation.terminal
  await using bar = progress(invocation)
  const states = new Map<string, { state: VmState; problem?: Problem }>()
  let synced = false
  try {
    for await (const change of steadyWatch(cloud, 'vm', { under: name, world, signal, onLost: () => bar.show(`${name}: the server does not answer, asking again`) })) {
      if (change.type === 'began') {
        states.clear()
        synced = false
      } else if (change.type === 'synced') synced = true
      else if (change.type === 'gone') states.delete(change.name)
      else states.set(change.resource.name, { state: change.resource.status?.state ?? 'pending', problem: change.resource.status?.problem })
      if (!synced) continue
      const still = [...states.values()].filter(({ state }) => !turn.states.includes(state))
      if (still.length === 0) break
      bar.show(`${name}: ${states.size - still.length} of ${counted(states.size, 'VM')} ${turn.doing}`)
    }
  } catch (thrown) {
    if (asTtError(thrown).code !== 'cancelled') throw thrown
    fail('cancelled', `interrupted; ENV ${name} goes on to be ${turn.done}`, { remedy: `see \`tt env show ${name}\`` })
  }
  const bad = [...states].find(([, { state }]) => state === 'failed' || state === 'lost')
  if (bad) fail(bad[1].problem?.code ?? 'failed', `${bad[0]}: ${bad[1].problem?.message ?? `it is ${bad[1].state}`}`, { subject: `vm/${bad[0]}`, remedy: bad[1].problem?.remedy ?? `see \`tt env show ${name}\`` })
}
