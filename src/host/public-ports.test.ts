import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TtError } from '../model/errors.ts'
import { publicPorts } from './public-ports.ts'

test('[E03] each inner port gets a public one, one that is named twice gets one', () => {
  const ports = publicPorts(40_000, 40_009)
  assert.deepEqual(ports.take([22, 80, 22]), { 22: 40_000, 80: 40_001 })
  assert.deepEqual(ports.take([]), {})
  assert.deepEqual(ports.take([22]), { 22: 40_002 })
})

test('[E05] what was given back is given again, the longest rested first and after all that nobody had', () => {
  const ports = publicPorts(40_000, 40_004)
  ports.take([1, 2, 3])
  ports.give([40_002, 40_000])
  ports.give([40_002])
  assert.deepEqual(Object.values(ports.take([1, 2, 3, 4])), [40_003, 40_004, 40_002, 40_000])
})

test('fault 22: [E05] after thousands of rounds every port is there, and one too many is refused and leaves nothing', () => {
  const ports = publicPorts(40_000, 40_099)
  let state = 1
  const dice = (sides: number) => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) % 4093 % sides
  const held: number[][] = []
  for (let round = 0; round < 5000; round++) {
    const wanted = Array.from({ length: 1 + dice(12) }, (_, at) => at + 1)
    const free = 100 - held.flat().length
    if (wanted.length > free) {
      assert.throws(() => ports.take(wanted), (fault) => fault instanceof TtError && fault.code === 'exhausted' && fault.message.includes(`${wanted.length} public ports are wanted and ${free} of 100`))
      ports.give(held.splice(dice(held.length), 1)[0] ?? [])
      continue
    }
    held.push(Object.values(ports.take(wanted)))
    assert.equal(new Set(held.flat()).size, held.flat().length, 'a port has two owners')
    if (dice(2) === 0) ports.give(held.splice(dice(held.length), 1)[0] ?? [])
  }
  held.forEach(ports.give)
  assert.equal(Object.keys(ports.take(Array.from({ length: 100 }, (_, at) => at + 1))).length, 100)
})

test('[E05] ports on record are nobody else\'s, those of an earlier range too', () => {
  const ports = publicPorts(40_000, 40_002)
  ports.adopt([40_000, 50_000])
  assert.deepEqual(ports.take([1, 2]), { 1: 40_001, 2: 40_002 })
  ports.give([50_000, 40_000])
  assert.deepEqual(ports.take([1]), { 1: 40_000 })
  assert.throws(() => ports.take([1]), { code: 'exhausted' })
})
