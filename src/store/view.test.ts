import assert from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import { manualWorld } from '../base/manual-world.ts'
import { memoryStore } from './memory.ts'
import type { Store } from './store.ts'
import { drop, put, refusal } from './under-test.ts'
import { type View, view, type ViewChange } from './view.ts'

interface Thing {
  n: number
}

async function opened(t: TestContext, make: (store: Store) => Store = (store) => store) {
  const world = manualWorld()
  const store = memoryStore({ world })
  const faults: unknown[] = []
  await store.commit([put('t/b', { n: 2 }), put('t/a', { n: 1 }), put('u/a', { n: 9 })])
  const things = await view<Thing>(make(store), 't/', { world, onFault: (fault) => faults.push(fault) })
  t.after(async () => {
    await things[Symbol.asyncDispose]()
    await store[Symbol.asyncDispose]()
  })
  return { world, store, things, faults }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

/** What the view holds is what the store lists. */
async function equalsStore(things: View<Thing>, store: Store): Promise<void> {
  const { items, revision } = await store.list('t/')
  assert.deepEqual(things.entries(), items)
  assert.equal(things.revision, revision)
  assert.equal(things.size, items.length)
}

it('has what was there, in order, and by prefix', async (t) => {
  const { things } = await opened(t)
  assert.deepEqual(things.values(), [{ n: 1 }, { n: 2 }])
  assert.deepEqual(things.values('t/b'), [{ n: 2 }])
  assert.deepEqual(things.get('t/a'), { n: 1 })
  assert.deepEqual(things.entry('t/a'), { key: 't/a', value: { n: 1 }, revision: 1 })
  assert.equal(things.get('u/a'), undefined)
  assert.equal(things.size, 2)
})

it('has seen a commit once it says so, whatever that touched', async (t) => {
  const { store, things } = await opened(t)
  for (let at = 0; at < 100; at++) {
    const [mine] = await Promise.all([store.commit([put(`t/${at}`, { n: at })]), store.commit([put('u/a', at)])])
    await things.reached(mine)
    assert.deepEqual(things.get(`t/${at}`), { n: at })
    assert.equal(things.entry(`t/${at}`)?.revision, mine)
    await things.reached(mine + 1)
    assert.equal(things.revision, mine + 1)
  }
  await equalsStore(things, store)
  let early = true
  const future = things.reached(things.revision + 2).then(() => (early = false))
  await store.commit([put('u/a', 1)])
  await turn()
  assert.equal(early, true)
  await store.commit([put('u/a', 1)])
  await future
})

it('gives up waiting with the signal, and when it ends', async (t) => {
  const { store, things } = await opened(t)
  const controller = new AbortController()
  const aborted = things.reached(1000, { signal: controller.signal })
  controller.abort(new Error('enough'))
  await assert.rejects(aborted, /enough/)
  const waiting = refusal('unavailable', things.reached(1000))
  await store[Symbol.asyncDispose]()
  await waiting
  await refusal('unavailable', things.reached(1000))
  assert.deepEqual(await Array.fromAsync(things.changes()), [])
  await things.reached(1)
})

it('calls back for every change with what was before, once the whole commit is in', async (t) => {
  const { store, things, faults } = await opened(t)
  const heard: unknown[] = []
  const stop = things.onChange(({ key, value }, previous) => heard.push([key, value?.n, previous?.n, things.size]))
  things.onChange(() => {
    throw new Error('a bad listener')
  })
  await things.reached(await store.commit([put('t/c', { n: 3 }), put('t/a', { n: 4 }), drop('t/b'), put('u/b', 1)]))
  assert.deepEqual(heard, [['t/c', 3, undefined, 2], ['t/a', 4, 1, 2], ['t/b', undefined, 2, 2]])
  assert.equal(faults.length, 3)
  stop()
  await things.reached(await store.commit([put('t/d', { n: 5 })]))
  assert.equal(heard.length, 3)
})

it('gives changes to an idle reader as they come, and to a slow one merged', async (t) => {
  const { store, things } = await opened(t)
  const controller = new AbortController()
  const reader = things.changes({ signal: controller.signal })[Symbol.asyncIterator]()
  const first = reader.next()
  await store.commit([put('t/a', { n: 10 })])
  assert.deepEqual((await first).value, { key: 't/a', value: { n: 10 } })
  for (let at = 0; at < 100; at++) await store.commit([put('t/a', { n: at }), put(`t/x${at % 3}`, { n: at })])
  await things.reached(await store.commit([drop('t/x0'), put('u/a', 1)]))
  const merged = [await reader.next(), await reader.next(), await reader.next(), await reader.next()].map(({ value }) => value as ViewChange<Thing>)
  assert.deepEqual(merged.map(({ key, value }) => `${key} ${value?.n}`).toSorted(), ['t/a 99', 't/x0 undefined', 't/x1 97', 't/x2 98'])
  const last = reader.next()
  controller.abort()
  assert.equal((await last).done, true)
  assert.deepEqual(await Array.fromAsync(things.changes({ signal: controller.signal })), [])
})

it('misses nothing between a look and the changes after it', async (t) => {
  const { store, things } = await opened(t)
  const changes = things.changes()
  await things.reached(await store.commit([put('t/a', { n: 5 })]))
  for await (const { key, value } of changes) {
    assert.deepEqual([key, value], ['t/a', { n: 5 }])
    break
  }
})

it('lists again when it fell too far behind, and tells only what differs', async (t) => {
  const { store, things } = await opened(t)
  const heard: (string | undefined)[] = []
  things.onChange(({ key, value }, previous) => heard.push(`${key} ${previous?.n} ${value?.n}`))
  const commits = Array.from({ length: 25_000 }, (_, at) => store.commit([put('u/a', at)]))
  commits.push(store.commit([put('t/c', { n: 3 }), drop('t/a')]), ...Array.from({ length: 15_000 }, () => store.commit([put('u/a', 1)])))
  await things.reached((await Promise.all(commits)).at(-1)!)
  assert.deepEqual(heard, ['t/a 1 undefined', 't/c undefined 3'])
  await equalsStore(things, store)
  await things.reached(await store.commit([put('t/d', { n: 4 })]))
  await equalsStore(things, store)
})

it('goes on after its store failed for a while, and says so', async (t) => {
  let broken = 0
  const flaky = (store: Store): Store => ({
    ...store,
    async *watch(...args) {
      for await (const batch of store.watch(...args)) {
        if (broken > 0) throw new Error(`down ${broken--}`)
        yield batch
      }
    },
  })
  const { store, things, faults, world } = await opened(t, flaky)
  broken = 2
  await store.commit([put('t/c', { n: 3 })])
  await world.advance(1500)
  assert.equal(things.get('t/c'), undefined)
  await world.advance(1500)
  await equalsStore(things, store)
  assert.deepEqual(faults.map(String), ['Error: down 2', 'Error: down 1'])
})

it('is not there at all when its store cannot be read', async () => {
  const store = memoryStore({ world: manualWorld() })
  await store[Symbol.asyncDispose]()
  await refusal('unavailable', view(store, '', { world: manualWorld(), onFault: () => assert.fail() }))
})

it('holds thirty thousand keys in order while they change', async (t) => {
  const { store, things } = await opened(t)
  const key = (at: number) => `t/${String((at * 7919) % 30_000).padStart(5, '0')}`
  for (let from = 0; from < 30_000; from += 500) await store.commit(Array.from({ length: 500 }, (_, at) => put(key(from + at), { n: from + at })))
  await things.reached(await store.commit(Array.from({ length: 500 }, (_, at) => drop(key(at * 3)))))
  await equalsStore(things, store)
  assert.equal(things.values('t/123').length, (await store.list('t/123')).items.length)
})
