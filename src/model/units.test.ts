import assert from 'node:assert/strict'
import { test } from 'node:test'
import { duration, megabytes } from './units.ts'

test('sizes read as people write them', () => {
  assert.deepEqual([0, 128, 1024, 1536, 40_960, 2_097_152].map(megabytes), ['0 MB', '128 MB', '1 GB', '1.5 GB', '40 GB', '2 TB'])
})

test('durations have two units at most', () => {
  assert.deepEqual([5, 60, 61, 3725, 86_400, 90_061].map(duration), ['5 s', '1 min', '1 min 1 s', '1 h 2 min', '1 d', '1 d 1 h'])
})
