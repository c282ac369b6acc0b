import assert from 'node:assert/strict'
import { test } from 'node:test'
import { temporaryDir } from '../fake-cloud.ts'
import { type Played, play } from './play.ts'
import { asked, type Point, pointOf, pointsOf, sample, sides, summary, sweep } from './points.ts'
import { scenario } from './scenario.ts'
import { stage } from './stage.ts'

const soak = process.env['TT_SOAK'] === '1'

/** What the engine does differs from guest to guest, so that each has moments of its own. */
const engine = { seed: 3, startMs: [0, 400], bootMs: [0, 900], execMs: [0, 300], failStart: ['*.99'] }
const common = { image: 'fake:micro', owner: 'admin', size: { cpu: 1, memMb: 128, diskMb: 200 }, ports: [80, 443], failing: true, expiring: true }
/** Asked for one after the other, each once the last has come about; or each as soon as the last is answered, so that VMs are still being made when they are stopped. */
const scenarios = { patient: scenario({ ...common, count: 6 }), hurried: scenario({ ...common, count: 5, hurried: true }) }

async function played(point: Point): Promise<Played> {
  using home = temporaryDir('crash', 'memory')
  const ground = stage(home.dir, { engine })
  try {
    return await play(ground, scenarios[point.scenario as keyof typeof scenarios], point.fates)
  } finally {
    await ground.drop()
  }
}

const how = { file: import.meta.filename, play: played }

if (asked !== undefined) {
  test(`a server killed at ${asked} loses nothing and leaks nothing`, async (context) => {
    const { deaths, step } = await played(pointOf(asked as string))
    context.diagnostic(`during «${step}», at: ${deaths.join('; ')}`)
  })
} else {
  const points: Point[] = []

  test('the scenarios come to their end if nobody is killed, and have 500 points at which a server can be', async (context) => {
    for (const name of Object.keys(scenarios)) points.push(...pointsOf(name, (await played({ scenario: name, fates: [] })).effects))
    context.diagnostic(`${points.length} points`)
    assert.ok(points.length >= 500, `there are ${points.length}`)
  })

  test('fault 18, fault 24, fault 25 [D03 H13 H14 E09]: a server killed right before or after any effect loses nothing, leaks nothing and has its counters right within 10 s', { timeout: 600_000 }, async (context) => {
    context.diagnostic(summary(await sweep(points, how)))
  })

  test('[H14]: a server killed again while it puts things right after a kill', { timeout: 3_600_000 }, async () => {
    const twice = points.map(({ scenario, fates }, at): Point => ({ scenario, fates: [...fates, { at: 1 + (at % 7), side: sides[(at >> 1) % 2] ?? 'before' }] }))
    await sweep(soak ? twice : sample(twice, 60), how)
  })
}
