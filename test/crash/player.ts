import { temporaryDir } from '../fake-cloud.ts'
import { answers } from '../thread.ts'
import { type Played, play } from './play.ts'
import type { Point } from './points.ts'
import { scenario } from './scenario.ts'
import { stage } from './stage.ts'

/** What the engine does differs from guest to guest, so that each has moments of its own. */
const engine = { seed: 3, startMs: [0, 400], bootMs: [0, 900], execMs: [0, 300], failStart: ['*.99'] }
const common = { image: 'fake:micro', owner: 'admin', size: { cpu: 1, memMb: 128, diskMb: 200 }, ports: [80, 443], failing: true, expiring: true }
/** Asked for one after the other, each once the last has come about; or each as soon as the last is answered, so that VMs are still being made when they are stopped. */
export const scenarios = { patient: scenario({ ...common, count: 5 }), hurried: scenario({ ...common, count: 5, hurried: true }) }

/** Plays a point on a machine of its own, in this process. */
async function played({ scenario: name, fates }: Point): Promise<Played> {
  using home = temporaryDir('crash', 'memory')
  const ground = stage(home.dir, { engine, ports: { from: 40_000, to: 40_999 } })
  try {
    return await play(ground, scenarios[name as keyof typeof scenarios], fates)
  } finally {
    await ground.drop()
  }
}

answers(played)
