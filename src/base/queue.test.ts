import assert from 'node:assert/strict'
import { test } from 'node:test'
import { batcher, gate, handoff, queue } from './queue.ts'

const tick = () => new Promise((resolve) => setImmediate(resolve))

test('a queue gives every value in order and ends', async () => {
  const values = queue<number>()
  for (let value = 0; value < 5000; value++) values.push(value)
  values.end()
  const got: number[] = []
  for await (const value of values) got.push(value)
  assert.equal(got.length, 5000)
  assert.ok(got.every((value, at) => value === at))
})

test('an aborted queue wakes its reader', async () => {
  const controller = new AbortController()
  const values = queue<number>(controller.signal)
  const reading = Array.fromAsync(values)
  await tick()
  controller.abort()
  assert.deepEqual(await reading, [])
})

test('a gate lets so many through at once and keeps their order', async () => {
  const door = gate(2)
  let inside = 0
  let most = 0
  const order: number[] = []
  await Promise.all(
    [0, 1, 2, 3, 4].map((at) =>
      door.pass(async () => {
        order.push(at)
        most = Math.max(most, ++inside)
        await tick()
        inside--
      }),
    ),
  )
  assert.equal(most, 2)
  assert.deepEqual(order, [0, 1, 2, 3, 4])
})

test('who gives up waiting at a gate does not take a place', async () => {
  const door = gate(1)
  const first = Promise.withResolvers<void>()
  const holding = door.pass(() => first.promise)
  const controller = new AbortController()
  const dropped = door.pass(async () => 'never', controller.signal)
  controller.abort(new Error('enough'))
  await assert.rejects(dropped, /enough/)
  first.resolve()
  await holding
  assert.equal(await door.pass(async () => 'free'), 'free')
})

test('a batcher merges what comes together, and one bad item fails alone', async () => {
  const batches: number[][] = []
  const merged = batcher<number, number>(async (items) => {
    batches.push(items)
    if (items.includes(3)) throw new Error('three')
    return items.map((item) => item * 2)
  })
  const results = await Promise.allSettled([1, 2, 3, 4].map((item) => merged.add(item)))
  assert.deepEqual(batches, [[1, 2, 3, 4], [1], [2], [3], [4]])
  assert.deepEqual(results.map((result) => (result.status === 'fulfilled' ? result.value : 'failed')), [2, 4, 'failed', 8])
})

test('a handoff holds its writer until the reader comes back', async () => {
  const values = handoff<number>()
  let given = 0
  const writing = (async () => {
    for (const value of [1, 2, 3]) {
      await values.give(value)
      given++
    }
    values.end()
  })()
  await tick()
  assert.equal(given, 0)
  const got: number[] = []
  for await (const value of values) {
    got.push(value)
    await tick()
    assert.equal(given, got.length - 1)
  }
  await writing
  assert.deepEqual(got, [1, 2, 3])
})

test('a handoff that ends lets go of its writer though nobody ever reads, and who comes later still gets what was given', async () => {
  const values = handoff<number>()
  const given = values.give(1)
  await tick()
  values.end()
  await given
  await values.give(2)
  assert.deepEqual(await Array.fromAsync(values), [1])
})

test('a handoff lets go of its writer when the reader leaves', async () => {
  const values = handoff<number>()
  const writing = values.give(1)
  const second = values.give(2)
  for await (const _ of values) break
  await Promise.all([writing, second, values.give(3)])
})
