import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verdictOf } from './finding.ts'
import { median, medianOf, ratioOf, summary } from './statistics.ts'

test('a summary has the middle and the ends, between two neighbours on the line between them', () => {
  const hundred = Array.from({ length: 101 }, (_, at) => 100 - at)
  assert.deepEqual(summary(hundred), { n: 101, median: 50, p10: 10, p90: 90, p99: 99, min: 0, max: 100 })
  assert.equal(median([1, 2]), 1.5)
  assert.throws(() => summary([]), /nothing was measured/)
})

test('a ratio is that of the medians, and its range holds it, narrow for steady numbers and wide for wild ones', () => {
  const steady = ratioOf([20, 21, 20, 19, 20, 20, 21, 20], [10, 10, 10, 10, 10, 10, 10, 10])
  assert.deepEqual([steady.value, steady.low >= 1.9, steady.high <= 2.1], [2, true, true])
  const wild = ratioOf([5, 40, 20, 9, 33, 20, 60, 12], [10, 10, 10, 10, 10, 10, 10, 10])
  assert.deepEqual([wild.low < 1.5, wild.high > 2.5], [true, true])
  assert.throws(() => ratioOf([1], [1, 2]), /no pairs/)
})

test('the same measurements give the same range', () => {
  const samples = [3, 1, 4, 1, 5, 9, 2, 6]
  assert.deepEqual(medianOf(samples), medianOf(samples))
})

test('a claim is judged by its goal, then its step, in its own direction', () => {
  const less = { step: 1.5, goal: 1.1 }
  assert.deepEqual([1.1, 1.5, 1.6].map((value) => verdictOf(less, value)), ['goal reached', 'step reached', 'NOT REACHED'])
  const more = { better: 'more', step: 20, goal: 100 } as const
  assert.deepEqual([100, 20, 19].map((value) => verdictOf(more, value)), ['goal reached', 'step reached', 'NOT REACHED'])
  assert.deepEqual([verdictOf({ goal: 20 }, 21), verdictOf({ step: 2 }, 1), verdictOf({}, 1)], ['NOT REACHED', 'step reached', 'for information'])
})
