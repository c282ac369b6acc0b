import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lag } from './lag.ts'
import { manualWorld } from './manual-world.ts'

test('lag is how late a timer runs: none in a loop that is free, all of a pause in one that is not', async () => {
  const world = manualWorld()
  using late = lag(world)
  await world.advance(10_000)
  assert.deepEqual([late.looks, late.seconds, late.worst()], [10, 0, 0])
  world.oversleep(3000)
  await world.advance(1000)
  assert.deepEqual([late.looks, late.seconds, late.worst()], [12, 2, 2])
  await world.advance(70_000)
  assert.deepEqual([late.seconds, late.worst()], [2, 0], 'the worst is of the last minute')
})

test('it leaves no timer behind', () => {
  const world = manualWorld()
  lag(world)[Symbol.dispose]()
  assert.equal(world.timers, 0)
})
