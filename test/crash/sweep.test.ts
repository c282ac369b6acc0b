import assert from 'node:assert/strict'
import { test } from 'node:test'
import { thread } from '../thread.ts'
import type { Played } from './play.ts'
import { scenarios } from './player.ts'
import { asked, type Point, pointOf, pointsOf, sample, sides, summary, sweep } from './points.ts'

const soak = process.env['TT_SOAK'] === '1'
const file = import.meta.filename
const player = () => thread<Point, Played>(new URL('player.ts', import.meta.url))

if (asked !== undefined) {
  test(`a server killed at ${asked} loses nothing and leaks nothing`, async (context) => {
    await using alone = player()
    const { deaths, step } = await alone.ask(pointOf(asked as string))
    context.diagnostic(`during «${step}», at: ${deaths.join('; ')}`)
  })
} else {
  const points: Point[] = []

  test('the scenarios come to their end if nobody is killed, and have 500 points at which a server can be', async (context) => {
    await using alone = player()
    for (const name of Object.keys(scenarios)) points.push(...pointsOf(name, (await alone.ask({ scenario: name, fates: [] })).effects))
    context.diagnostic(`${points.length} points`)
    assert.ok(points.length >= 500, `there are ${points.length}`)
  })

  test('fault 18, fault 24, fault 25 [D03 H13 H14 E09]: a server killed right before or after any effect loses nothing, leaks nothing and has its counters right within 10 s', { timeout: 600_000 }, async (context) => {
    await using one = player()
    await using other = player()
    context.diagnostic(summary(await sweep(soak ? points : sample(points, 500), { file, players: [one, other] })))
  })

  test('[H14]: a server killed again while it puts things right after a kill', { timeout: 3_600_000 }, async () => {
    await using alone = player()
    const twice = points.map(({ scenario, fates }, at): Point => ({ scenario, fates: [...fates, { at: 1 + (at % 7), side: sides[(at >> 1) % 2] ?? 'before' }] }))
    await sweep(soak ? twice : sample(twice, 60), { file, players: [alone] })
  })
}
