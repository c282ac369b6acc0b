import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { fan } from './fan.ts'

const ofBytes = () => fan<Uint8Array>({ sizeOf: ({ length }) => length, limitBytes: 10 })
const soon = () => new Promise((resolve) => setImmediate(resolve))

test('fan: every reader gets every value, in order, and then the end', async () => {
  const source = ofBytes()
  const lanes = [source.lane(), source.lane()]
  for (const byte of [1, 2, 3]) await source.give(Uint8Array.of(byte))
  source.end()
  for (const lane of lanes) assert.deepEqual([await lane.next(), await lane.next(), await lane.next(), await lane.next()], [Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3), undefined])
})

test('fan: whoever is behind holds the giver, until it takes something or leaves', async () => {
  const source = ofBytes()
  const [quick, slow] = [source.lane(), source.lane()]
  assert.equal(source.give(new Uint8Array(9)), undefined)
  let through = false
  const held = source.give(new Uint8Array(5))?.then(() => (through = true))
  await quick.next()
  await quick.next()
  await soon()
  assert.equal(through, false)
  await slow.next()
  await held
  const again = source.give(new Uint8Array(20))
  await quick.next()
  slow.leave()
  await again
  assert.equal(source.give(new Uint8Array(1)), undefined, 'the lane that left is not waited for')
  assert.equal(await slow.next(), undefined)
})

test('fan: a fault reaches readers at once, also one that waits', async () => {
  const source = ofBytes()
  const lane = source.lane()
  const waiting = lane.next()
  source.end(new Error('the giver broke'))
  await assert.rejects(async () => waiting.then((value) => value ?? lane.next()), /the giver broke/)
  await assert.rejects(lane.next(), /the giver broke/)
})

test('fan: a reader that is always a little behind holds nothing of what it took', async () => {
  const collect = collector()
  const source = ofBytes()
  const lane = source.lane()
  const given: WeakRef<Uint8Array>[] = []
  for (let n = 0; n < 200; n++) {
    const value = new Uint8Array(6)
    given.push(new WeakRef(value))
    const room = source.give(value)
    if (n > 0) await lane.next()
    await room
  }
  await soon()
  collect()
  const held = given.filter((one) => one.deref() !== undefined).length
  assert.ok(held < 40, `${held} of 200 are held`)
})

function collector(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}
