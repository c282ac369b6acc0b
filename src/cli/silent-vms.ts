import type { Cloud } from '../model/cloud.ts'
import { errorOf, type Problem } from '../model/errors.ts'
import { parseVmName } from '../model/names.ts'
import type { Invocation } from './invocation.ts'
import type { Progress } from './progress.ts'
import { counted } from './text.ts'
import { framesOf } from './vm-frames.ts'

/** What a round of pings found. */
export interface Roll {
  asked: number
  /** Indices of VMs that run and did not answer in time. */
  silent: number[]
  /** VMs that could not be asked, with the reason: they are neither alive nor dead. */
  unclear: { vm: string; problem: Problem }[]
}

/** Asks every VM of an ENV whether it lives, all at once. An answer of any kind is a life sign; silence until the limit is none. */
export async function rollOf(cloud: Cloud, name: string, options: Pick<Invocation, 'terminal' | 'call'> & { limitMs: number; progress: Progress }): Promise<Roll> {
  const { terminal, call, limitMs, progress } = options
  const roll: Roll = { asked: 0, silent: [], unclear: [] }
  const waiting = new Set<string>()
  const session = await cloud.open({ type: 'ping', vms: { envs: [name] }, timeoutMs: limitMs }, call)
  for await (const frame of framesOf(session, terminal.signal)) {
    if (frame.type === 'begin') {
      roll.asked++
      waiting.add(frame.vm)
    } else if (frame.type === 'problem' && frame.vm === undefined) throw errorOf(frame.problem)
    else if (frame.type === 'exit' || frame.type === 'problem') {
      waiting.delete(frame.vm ?? '')
      if (frame.type === 'problem') judge(roll, frame.vm ?? '', frame.problem)
    }
    progress.show(`${name}: ${waiting.size} of ${counted(roll.asked, 'VM')} have not answered yet`)
  }
  for (const vm of waiting) roll.unclear.push({ vm, problem: { code: 'unavailable', message: 'the connection ended before it could answer' } })
  return roll
}

/** Only silence is death: an agent that is not there, a boot that goes on or a host that is away are not. */
function judge(roll: Roll, vm: string, problem: Problem): void {
  const index = parseVmName(vm)?.index
  if (problem.code === 'timeout' && index !== undefined) roll.silent.push(index)
  else if (problem.code !== 'not_ready' && problem.code !== 'unsupported') roll.unclear.push({ vm, problem })
}
