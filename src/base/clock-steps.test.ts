import assert from 'node:assert/strict'
import { test } from 'node:test'
import { onClockStep } from './clock-steps.ts'
import { manualWorld } from './manual-world.ts'

test('a clock that is set, either way, is noticed within ten seconds, and told once', async () => {
  const world = manualWorld()
  let steps = 0
  const stop = onClockStep(world, () => void steps++)
  await world.advance(60_000)
  assert.equal(steps, 0)
  world.setClock(world.now() + 3600_000)
  await world.advance(10_000)
  assert.equal(steps, 1)
  await world.advance(60_000)
  assert.equal(steps, 1)
  world.setClock(world.now() - 7200_000)
  await world.advance(10_000)
  assert.equal(steps, 2)
  stop()
  assert.equal(world.timers, 0)
})

test('a process that had no turn for long, and a clock that is slewed, are no steps', async () => {
  const world = manualWorld()
  let steps = 0
  using _end = { [Symbol.dispose]: onClockStep(world, () => void steps++) }
  world.oversleep(100_000)
  for (let times = 0; times < 100; times++) {
    await world.advance(10_000)
    world.setClock(world.now() + 5)
  }
  assert.equal(steps, 0)
})
