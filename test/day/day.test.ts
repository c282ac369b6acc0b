import assert from 'node:assert/strict'
import { test } from 'node:test'
import { thread } from '../thread.ts'
import type { Op } from './day.ts'
import type { Asked, Lived } from './seeded.ts'

const soak = process.env['TT_SOAK'] === '1'
const seed = Number(process.env['TT_DAY_SEED'] ?? 1)
const steps = Number(process.env['TT_DAY_STEPS'] ?? 950)
const given = process.env['TT_DAY_OPS'] === undefined ? undefined : (JSON.parse(process.env['TT_DAY_OPS']) as Op[])
const seeds = soak && given === undefined ? Array.from({ length: 200 }, (_, at) => seed + at) : [seed]

for (const one of seeds) {
  test(`fault 14, fault 15, fault 18, fault 21 [D03 E09 H13]: a day of 200 ENVs and three users, seed ${one}, ends as it began`, { timeout: 1_200_000 }, async (context) => {
    await using day = thread<Asked, Lived>(new URL('seeded.ts', import.meta.url))
    const lived = await day.ask({ seed: one, steps, ...(given ? { ops: given } : {}), shrinkMs: soak ? 600_000 : 120_000 })
    context.diagnostic(`${lived.made} ENVs made, ${lived.refused} operations refused, ${lived.simulatedHours.toFixed(1)} hours`)
    const { failure, shrunk } = lived
    if (failure && shrunk) {
      assert.fail(
        [
          `step ${failure.at}, ${failure.what}: ${failure.why}`,
          `again: TT_DAY_SEED=${one} TT_DAY_STEPS=${steps} npm test -- test/day`,
          `smaller, ${shrunk.ops.length} steps: ${shrunk.why}`,
          ...shrunk.told.map((line) => `  ${line}`),
          `again: TT_DAY_SEED=${one} TT_DAY_OPS='${JSON.stringify(shrunk.ops)}' npm test -- test/day`,
        ].join('\n'),
      )
    }
    if (given === undefined) assert.ok(lived.made >= 200, `only ${lived.made} ENVs were made`)
  })
}
