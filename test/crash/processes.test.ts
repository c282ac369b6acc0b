import assert from 'node:assert/strict'
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, test } from 'node:test'
import { temporaryDir } from '../fake-cloud.ts'
import { audit } from './audit.ts'
import { filesOf, machineOf } from './machine.ts'
import { type Played, play } from './play.ts'
import { processGround, type ProcessOptions } from './processes.ts'
import { scenario } from './scenario.ts'
import { asked, type Point, pointOf, pointsOf, sample, summary, sweep } from './points.ts'
import type { WishedEnv } from './wish.ts'

const soak = process.env['TT_SOAK'] === '1'

/** The engine is as slow as a fast one, so that not everything happens at once. */
const engine = { seed: 3, startMs: [0, 60], bootMs: [0, 80], failStart: ['*.99'] }
const flags = ['--engine', 'fake', '--cpu-total', '1000', '--mem-total', '1000000', '--disk-total', '1000000', '--drivers', JSON.stringify({ engine: { fake: engine } })]
const options = { image: 'fake:micro', owner: 'admin', size: { cpu: 1, memMb: 128, diskMb: 200 }, ports: [80, 443], count: 7, failing: true }
const judge: ProcessOptions['judge'] = ({ dataDir }, wish, nowMs) => audit(machineOf(filesOf(dataDir)), wish, nowMs)
/** An ENV lives 30 s at least, and nobody waits so long here: it is given a birth in the past. */
const leftMs = 2500
const steps = scenario({ ...options, expiring: { inMs: leftMs } })
const vm = { ...options.size, ports: options.ports, denyOutgoing: false, starts: 1 }
const short = (bornMs: number): WishedEnv => ({ owner: 'admin', vms: new Map([[0, vm], [1, vm]]), stopped: false, lifetimeSeconds: 30, bornMs })

const home = temporaryDir('crash-template')
after(() => home[Symbol.dispose]())

/** A data directory in which ENV `short` is ready, as a server left it that was ended in order. */
before(async () => {
  await using ground = processGround({ flags, judge })
  assert.ok(await ground.begin())
  const spec = { groups: [{ image: options.image, count: 2, ...options.size, ports: options.ports }], lifetimeSeconds: 30 }
  await ground.drive(ground.cloud().collection('env').put('short', { spec, expect: 'absent' }))
  await ground.until([new Map([['short', short(Date.now())]])], 10_000)
  await ground.end()
  cpSync(ground.dataDir, join(home.dir, 'data'), { recursive: true })
})

function fill(dataDir: string): void {
  cpSync(join(home.dir, 'data'), dataDir, { recursive: true })
  rmSync(join(dataDir, 'journal.ndjson'))
  const database = new DatabaseSync(filesOf(dataDir).store)
  const created = new Date(Date.now() - 30_000 + leftMs).toISOString()
  const { changes } = database.prepare("UPDATE entries SET value = json_set(value, '$.created', ?) WHERE key = 'desired/env/short'").run(created)
  database.close()
  assert.equal(changes, 1)
}

async function played({ fates }: Point): Promise<Played> {
  await using ground = processGround({ flags, fill, judge, wish: new Map([['short', short(Date.now() - 30_000 + leftMs)]]) })
  return await play(ground, steps, fates)
}

if (asked !== undefined) {
  test(`a server process killed at ${asked} loses nothing and leaks nothing`, async (context) => {
    const { deaths, step } = await played(pointOf(asked as string))
    context.diagnostic(`during «${step}», at: ${deaths.join('; ')}`)
  })
} else {
  test('fault 18, fault 24, fault 25 [D03 H13 H14 E09]: a server process ended by SIGKILL right before or after an effect or a commit loses nothing, leaks nothing and has its counters right within 10 s', { timeout: 3_600_000 }, async (context) => {
    const { effects } = await played({ scenario: 'process', fates: [] })
    const points = pointsOf('process', effects)
    const all = await sweep(soak ? points : sample(points, 16), { file: import.meta.filename, players: [{ ask: played }, { ask: played }], mayLive: true })
    context.diagnostic(`of ${points.length}: ${summary(all)}`)
    assert.ok(all.filter(({ lived }) => lived).length <= all.length / 4, 'most of them died where they were to')
  })
}
