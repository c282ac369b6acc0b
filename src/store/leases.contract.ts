import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { changesOf, drop, put, refusal, type StoreUnderTest, take } from './under-test.ts'

/** What store.ts promises of leases, asked of one implementation. */
export function leaseContract({ name, opened }: StoreUnderTest): void {
  describe(`the store ${name}: leases`, () => {
    it('renews by itself, and takes its keys along as one commit when it is disposed', async (t) => {
      const { store, world } = await opened(t)
      const lease = await store.lease(10)
      const revision = await store.commit([put('b', 2, lease.id), put('a', 1, lease.id), put('c', 3)])
      await world.advance(100_000)
      assert.equal((await store.list('')).items.length, 3)
      await lease[Symbol.asyncDispose]()
      assert.deepEqual((await store.list('')).items.map(({ key }) => key), ['c'])
      const batches = await take(store.watch('', revision), 1)
      assert.deepEqual(changesOf(batches[0]).map(({ key, value }) => [key, value]), [['a', undefined], ['b', undefined]])
      assert.equal((await store.list('')).revision, revision + 1)
      assert.equal(lease.lost.aborted, false)
      assert.equal((await refusal('not_found', store.commit([put('d', 1, lease.id)]))).subject, `lease/${lease.id}`)
      await lease[Symbol.asyncDispose]()
      assert.equal(world.timers, 0)
    })

    it('is lost when its process did not run for a term', async (t) => {
      const { store, world } = await opened(t)
      const [slept, longer] = [await store.lease(10), await store.lease(60)]
      const revision = await store.commit([put('a', 1, slept.id), put('b', 1, slept.id), put('c', 1, longer.id)])
      world.oversleep(9_000)
      await world.advance(0)
      assert.equal(slept.lost.aborted, false)
      world.oversleep(10_001)
      await world.advance(0)
      assert.equal(slept.lost.aborted, true)
      assert.equal(longer.lost.aborted, false)
      const batches = await take(store.watch('', revision), 1)
      assert.deepEqual(changesOf(batches[0]).map(({ key, value }) => [key, value]), [['a', undefined], ['b', undefined]])
      assert.deepEqual((await store.list('')).items.map(({ key }) => key), ['c'])
      await refusal('not_found', store.commit([put('d', 1, slept.id)]))
    })

    it('takes no write that comes before the timer which would have noticed', async (t) => {
      const { store, world } = await opened(t)
      const lease = await store.lease(10)
      await store.commit([put('a', 1, lease.id)])
      world.oversleep(10_001)
      await refusal('not_found', store.commit([put('a', 2, lease.id)]))
      assert.equal(lease.lost.aborted, true)
      await store.commit([])
      assert.equal(await store.get('a'), undefined)
    })

    it('holds a key by its last write', async (t) => {
      const { store } = await opened(t)
      const [one, other] = [await store.lease(10), await store.lease(10)]
      await store.commit(['kept', 'moved', 'dropped', 'made again'].map((key) => put(key, 1, one.id)))
      await store.commit([put('kept', 2), put('moved', 2, other.id), drop('dropped'), drop('made again'), { key: 'kept', value: 2 }].slice(0, 4))
      await store.commit([put('made again', 2), { key: 'moved', expect: (await store.get('moved'))!.revision }])
      const { revision } = await store.list('')
      await one[Symbol.asyncDispose]()
      assert.equal((await store.list('')).revision, revision, 'nothing is left to delete')
      assert.deepEqual((await store.list('')).items.map(({ key }) => key), ['kept', 'made again', 'moved'])
      await other[Symbol.asyncDispose]()
      assert.deepEqual((await store.list('')).items.map(({ key }) => key), ['kept', 'made again'])
    })

    it('covers what was committed before it was disposed, and nothing after', async (t) => {
      const { store } = await opened(t)
      const lease = await store.lease(10)
      const before = store.commit([put('a', 1, lease.id)])
      const disposed = lease[Symbol.asyncDispose]()
      const after = refusal('not_found', store.commit([put('b', 1, lease.id)]))
      await Promise.all([before, disposed, after])
      assert.deepEqual((await store.list('')).items, [])
    })

    it('refuses a term that is none, and a lease nobody has', async (t) => {
      const { store } = await opened(t)
      for (const seconds of [0, -1, NaN, 0.05, 86_401, Infinity]) await refusal('invalid', store.lease(seconds))
      await refusal('not_found', store.commit([put('a', 1, 'nobody')]))
    })

    it('is lost with the store', async (t) => {
      const { store } = await opened(t)
      const lease = await store.lease(10)
      await store[Symbol.asyncDispose]()
      assert.equal(lease.lost.aborted, true)
      await lease[Symbol.asyncDispose]()
    })
  })
}
