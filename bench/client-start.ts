import { join } from 'node:path'
import { type Bench, roundsOf } from './bench.ts'
import { wholeProcess } from './command.ts'
import { amountFinding } from './finding.ts'
import { inPairs } from './measure.ts'
import { root } from './machine.ts'
import { plainEnv } from './server.ts'

/** What every command costs before it does anything. */
export const clientStart: Bench = {
  name: 'client-start',
  about: '`tt --version`, against Node doing nothing',
  async run(ground) {
    const env = plainEnv(ground.dir)
    const { ours, peer } = await inPairs(
      ground,
      { ours: () => wholeProcess([join(root, 'tt'), '--version'], env), peer: () => wholeProcess([process.execPath, '-e', '0'], env) },
      { rounds: roundsOf(ground, 40) },
    )
    return [amountFinding({ name: 'tt --version', step: 100, goal: 60 }, { what: 'whole process', unit: 'ms', samples: ours }, { peer: { what: '`node -e 0` of the same Node', unit: 'ms', samples: peer } })]
  },
}
