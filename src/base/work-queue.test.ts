import assert from 'node:assert/strict'
import { test } from 'node:test'
import { manualWorld } from './manual-world.ts'
import { realWorld } from './world.ts'
import { workQueue } from './work-queue.ts'

/** A work that ends when it is told. */
const held = () => {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  let begun = 0
  return { work: () => (begun++, promise), resolve, reject, begun: () => begun }
}
const soon = () => new Promise((resolve) => setImmediate(resolve))

test('P02: so many works run, the others wait in order', async () => {
  await using queue = workQueue({ world: realWorld, workers: 2 })
  const works = [held(), held(), held(), held()]
  const results = works.map((one, at) => queue.add(`w${at}`, one.work))
  await soon()
  assert.deepEqual([queue.running, queue.waiting], [['w0', 'w1'], ['w2', 'w3']])
  works[1]?.resolve('second')
  assert.equal(await results[1], 'second')
  await soon()
  assert.deepEqual([queue.running, queue.waiting], [['w0', 'w2'], ['w3']])
  works.forEach((one, at) => one.resolve(`r${at}`))
  assert.deepEqual(await Promise.all(results), ['r0', 'second', 'r2', 'r3'])
})

test('P02: a work with the id of one that is there is the same work; afterwards it is a new one', async () => {
  await using queue = workQueue({ world: realWorld, workers: 1 })
  const one = held()
  const results = [queue.add('same', one.work), queue.add('same', one.work)]
  one.resolve('once')
  assert.deepEqual(await Promise.all(results), ['once', 'once'])
  assert.equal(one.begun(), 1)
  await queue.add('same', one.work)
  assert.equal(one.begun(), 2)
})

test('P02: what waits too long fails without having begun; what cannot wait is refused', async () => {
  const world = manualWorld()
  await using queue = workQueue({ world, workers: 1, waitLimitMs: 1000, waitingMost: 1 })
  const first = held()
  const second = held()
  const running = queue.add('first', first.work)
  const waiting = assert.rejects(queue.add('second', second.work), /second waited 1000 ms for its turn/)
  await assert.rejects(queue.add('third', second.work), /third cannot wait: 1 works wait already/)
  await world.advance(1001)
  await waiting
  assert.equal(second.begun(), 0)
  first.resolve('done')
  assert.equal(await running, 'done', 'what runs is not held to the limit of waiting')
})

test('P02: each try has its time, and a work that fails is tried again with growing pauses', async () => {
  const world = manualWorld()
  await using queue = workQueue({ world, workers: 1 })
  let tries = 0
  const flaky = queue.add('flaky', async () => (++tries < 3 ? Promise.reject(new Error('not yet')) : 'third time'), { tries: 3, pauseMs: 100 })
  await soon()
  assert.equal(tries, 1)
  await world.advance(100)
  assert.equal(tries, 2)
  await world.advance(100)
  assert.equal(tries, 2, 'the second pause is longer')
  await world.advance(100)
  assert.equal(await flaky, 'third time')
  const slow = assert.rejects(queue.add('slow', () => new Promise(() => undefined), { timeMs: 50 }), /it was not done within 50 ms/)
  await soon()
  await world.advance(50)
  await slow
})

test('P02: a work can be cancelled while it waits and while it runs, and the next has its turn', async () => {
  await using queue = workQueue({ world: realWorld, workers: 1 })
  const running = assert.rejects(queue.add('running', () => new Promise(() => undefined)), /running was cancelled/)
  const waiting = assert.rejects(queue.add('waiting', () => Promise.resolve()), /enough/)
  const last = queue.add('last', () => Promise.resolve('turn'))
  await soon()
  assert.equal(queue.cancel('waiting', new Error('enough')), true)
  await waiting
  assert.equal(queue.cancel('running'), true)
  await running
  assert.equal(await last, 'turn')
  assert.equal(queue.cancel('nobody'), false)
})

test('P02: a queue that was closed ends what it has and takes nothing more', async () => {
  const queue = workQueue({ world: realWorld, workers: 1 })
  const ends = Promise.allSettled([queue.add('running', () => new Promise(() => undefined)), queue.add('waiting', () => Promise.resolve())])
  await soon()
  await queue[Symbol.asyncDispose]()
  assert.deepEqual((await ends).map((one) => one.status === 'rejected' && String(one.reason)), ['Error: the queue was closed', 'Error: the queue was closed'])
  const late = held()
  await assert.rejects(queue.add('late', late.work), /late cannot wait: the queue was closed/)
  assert.equal(late.begun(), 0)
})
