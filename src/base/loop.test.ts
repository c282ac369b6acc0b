import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Loop } from './loop.ts'
import { realWorld } from './world.ts'

const until = async (holds: () => boolean) => {
  for (let tries = 0; tries < 2000 && !holds(); tries++) await new Promise((resolve) => setTimeout(resolve, 1))
  assert.ok(holds(), 'it never came to be')
}

test('touches of a waiting key are one, a touch while it runs makes it run once more', async () => {
  const gates: PromiseWithResolvers<void>[] = []
  await using loop = new Loop(
    () => {
      const door = Promise.withResolvers<void>()
      gates.push(door)
      return door.promise
    },
    { world: realWorld },
  )
  loop.touch('a')
  await until(() => gates.length === 1)
  for (let times = 0; times < 5; times++) loop.touch('a')
  gates[0]?.resolve()
  await until(() => gates.length === 2)
  gates[1]?.resolve()
  await until(() => loop.busy === 0)
  assert.equal(gates.length, 2)
})

test('one key never runs twice at once, others do', async () => {
  let inside = 0
  let most = 0
  const running = new Set<string>()
  await using loop = new Loop(
    async (key) => {
      assert.ok(!running.has(key))
      running.add(key)
      most = Math.max(most, ++inside)
      await new Promise((resolve) => setTimeout(resolve, 2))
      inside--
      running.delete(key)
    },
    { world: realWorld, width: 3 },
  )
  for (let round = 0; round < 5; round++) for (const key of ['a', 'b', 'c', 'd', 'e']) loop.touch(key)
  await until(() => loop.busy === 0)
  assert.equal(most, 3)
})

test('what throws is tried again with growing waits, and told', async () => {
  const tries: number[] = []
  await using loop = new Loop(
    async () => {
      if (tries.length < 3) throw new Error('not yet')
    },
    { world: realWorld, backoffMs: { first: 1, last: 4 }, onFault: (_key, _fault, count) => tries.push(count) },
  )
  loop.touch('a')
  await until(() => loop.busy === 0)
  assert.deepEqual(tries, [1, 2, 3])
})

test('a number returned is when to look again; a touch comes first', async () => {
  let looks = 0
  await using loop = new Loop(async () => (++looks < 3 ? 60_000 : undefined), { world: realWorld })
  loop.touch('a')
  await until(() => looks === 1)
  loop.touch('a')
  await until(() => looks === 2)
  loop.touch('a')
  await until(() => looks === 3 && loop.busy === 0)
})

test('disposing waits for what runs and starts nothing more', async () => {
  let ended = false
  let turns = 0
  const loop = new Loop(
    async () => {
      turns++
      await new Promise((resolve) => setTimeout(resolve, 20))
      ended = true
      return 1
    },
    { world: realWorld },
  )
  loop.touch('a')
  await until(() => turns === 1)
  await loop[Symbol.asyncDispose]()
  assert.ok(ended)
  loop.touch('a')
  await new Promise((resolve) => setTimeout(resolve, 10))
  assert.equal(turns, 1)
})
