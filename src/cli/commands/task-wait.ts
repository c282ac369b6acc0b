import { spanMs } from '../flag-values.ts'
import type { Action } from '../invocation.ts'
import { progress } from '../progress.ts'
import { eachOf, tellOutcomes } from '../several.ts'
import { checkDone, taskOver } from '../task-waiting.ts'
import { taskOf } from './tasks.ts'

/** `tt task wait ID…`. */
export const wait: Action = {
  operands: [{ name: 'ID', many: true, of: 'task' }],
  flags: [{ long: 'time-out', short: 't', also: ['timeout'], value: 'SECONDS', about: 'Wait no longer than this for all of them', default: 'none' }],
  details: ['The exit status is 0 only if every task is done; one that failed ends with the status of its error.'],
  examples: [{ line: 'tt task wait 6f1d2a3b4c5d6e7f', about: 'until it is over' }],
  async run(invocation) {
    const { given, terminal, call } = invocation
    const limitMs = given.has('time-out') ? spanMs('--time-out', given.one('time-out') ?? '') : undefined
    const cloud = await invocation.cloud()
    const began = terminal.world.ticks()
    const outcomes = await eachOf(invocation, [...new Set(given.operands)], async (id) => {
      await using bar = progress(invocation)
      const { spec } = await taskOf({ call }, cloud, id)
      const left = limitMs === undefined ? undefined : Math.max(1, limitMs - (terminal.world.ticks() - began))
      const task = await taskOver(id, { terminal, cloud, progress: bar }, { under: spec.subject.replace(/^env\//, ''), limitMs: left })
      checkDone(task, spec.subject)
      return `${spec.verb} ${spec.subject.replace(/^env\//, '')} is done`
    })
    await tellOutcomes(invocation, outcomes)
  },
}
