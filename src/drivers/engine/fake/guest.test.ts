import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ended, type Guest, nextPrint, printed, printedBetween, runOf, started } from './guest.ts'

const guest: Guest = { hostname: 'env-0', cpu: 1, memMb: 128, runs: [{ from: 1000, ready: 1500 }] }
const lines = (text: string) => text.split('\r\n').slice(0, -1).map((line) => line.replace('fake-guest env-0: ', ''))

test('a guest prints when it begins, when it is ready, every second, and when it ends', () => {
  assert.deepEqual(lines(printed(guest, 1499, 9999)), ['begins with 1 cpu and 128 MB, all of them fake'])
  assert.deepEqual(lines(printed(guest, 3600, 9999)).slice(1), ['ready', 'alive for 1 s', 'alive for 2 s'])
  const over = ended(guest, 3000, 'was ended')
  assert.deepEqual(lines(printed(over, 9000, 9999)).slice(1), ['ready', 'alive for 1 s', 'was ended'])
  const never = ended(guest, 1200, 'was ended')
  assert.deepEqual(lines(printed(never, 9000, 9999)).slice(1), ['was ended'])
  const again = started(over, { from: 5000, ready: 5000 })
  assert.deepEqual(lines(printed(again, 5999, 9999)).slice(4), ['begins with 1 cpu and 128 MB, all of them fake', 'ready'])
})

test('pieces of any length are the whole', () => {
  const over = ended(guest, 7200, 'was ended')
  for (const step of [1, 7, 250, 999, 1000, 1001, 5000]) {
    let text = ''
    for (let from = 0; from < 10_000; from += step) text += printedBetween(over, over.runs[0]!, { from, to: from + step })
    assert.equal(text, printed(over, 10_000, 9999), `in pieces of ${step} ms`)
  }
})

test('a guest of a year has its newest lines at once', () => {
  const year = 365 * 86_400_000
  const start = performance.now()
  const text = printed(guest, 1500 + year, 65_536)
  assert(performance.now() - start < 1000)
  assert.equal(text.length, 65_536)
  assert(text.endsWith(`alive for ${year / 1000} s\r\n`))
  assert.equal(printed(guest, 1500 + year, 3), 's\r\n')
})

test('the next line comes when it is said to', () => {
  const run = guest.runs[0]!
  for (const now of [1000, 1499, 1500, 1501, 2499, 2500, 99_999]) {
    const next = nextPrint(run, now)
    assert(next > now)
    assert.equal(printedBetween(guest, run, { from: now, to: next - 1 }), '')
    assert.equal(lines(printedBetween(guest, run, { from: now, to: next })).length, 1)
  }
})

test('few runs are kept, and the last that has not ended goes on', () => {
  let many = guest
  for (let n = 0; n < 100; n++) many = started(ended(many, 2000 + n, ''), { from: 2000 + n, ready: 2000 + n })
  assert.equal(many.runs.length, 8)
  assert.equal(runOf(many, 9999)?.from, 2099)
  assert.equal(runOf(ended(many, 5000, ''), 4999)?.from, 2099)
  assert.equal(runOf(ended(many, 5000, ''), 5000), undefined)
  assert.equal(runOf(undefined, 0), undefined)
})
