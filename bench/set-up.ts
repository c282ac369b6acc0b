import { join } from 'node:path'
import { type Bench, roundsOf } from './bench.ts'
import { wholeProcess } from './command.ts'
import { amountFinding } from './finding.ts'
import { inPairs } from './measure.ts'
import { root } from './machine.ts'

/** What `npm start` waits for before it does anything, when all is there already. */
export const setUp: Bench = {
  name: 'set-up',
  about: 'set-up when there is nothing to do, against a shell that does nothing',
  async run(ground) {
    const { ours, peer } = await inPairs(
      ground,
      { ours: () => wholeProcess(['sh', join(root, 'script/setup')], process.env), peer: () => wholeProcess(['sh', '-c', ':'], process.env) },
      { rounds: roundsOf(ground, 8) },
    )
    const seconds = (all: number[]) => all.map((ms) => ms / 1000)
    return [amountFinding({ name: 'set-up with nothing to do', step: 2 }, { what: 'script/setup', unit: 's', samples: seconds(ours) }, { peer: { what: 'sh -c :', unit: 's', samples: seconds(peer) } })]
  },
}
