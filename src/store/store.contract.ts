import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Entry, Write } from './store.ts'
import { changesOf, drop, put, refusal, revisionOf, type StoreUnderTest, take } from './under-test.ts'

/** All that store.ts promises, asked of one implementation. */
export function storeContract({ name, durable, opened }: StoreUnderTest): void {
  describe(`the store ${name}: commits`, () => {
    it('counts one per commit that wrote, and gives every key its number', async (t) => {
      const { store } = await opened(t)
      const first = await store.commit([put('a', 1), put('b', 2)])
      assert.equal(await store.commit([put('b', 3)]), first + 1)
      assert.equal(await store.commit([]), first + 1)
      assert.equal(await store.commit([{ key: 'a', expect: first }, { key: 'c', expect: 'absent' }]), first + 1)
      assert.equal(await store.commit([drop('missing')]), first + 1)
      assert.equal(await store.commit([put('b', 3), drop('missing')]), first + 2, 'an equal value is a write')
      assert.deepEqual(await store.get('a'), { key: 'a', value: 1, revision: first })
      assert.deepEqual(await store.get('b'), { key: 'b', value: 3, revision: first + 2 })
      assert.equal(await store.commit([drop('a')]), first + 3)
      assert.equal(await store.get('a'), undefined)
      assert.equal((await store.list('')).revision, first + 3)
    })

    it('lists what begins with a prefix, in byte order', async (t) => {
      const { store } = await opened(t)
      const keys = ['a', 'a/', 'a/10', 'a/9', 'a/B', 'a/a', 'a/~', 'a0', 'b', ' ', '~'.repeat(512)]
      await store.commit(keys.toReversed().map((key) => put(key, key.length)))
      const sorted = keys.toSorted((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)))
      assert.deepEqual((await store.list('')).items.map(({ key }) => key), sorted)
      assert.deepEqual((await store.list('a/')).items.map(({ key }) => key), ['a/', 'a/10', 'a/9', 'a/B', 'a/a', 'a/~'])
      assert.deepEqual((await store.list('a/9')).items.map(({ value }) => value), [3])
      assert.deepEqual((await store.list('c')).items, [])
    })

    it('keeps order while thousands of keys come and go', async (t) => {
      const { store } = await opened(t)
      const key = (at: number) => `k/${(at * 7919) % 5000}`
      const expected = new Set<string>()
      for (let from = 0; from < 5000; from += 500) {
        const puts = Array.from({ length: 500 }, (_, at) => key(from + at))
        const drops = puts.filter((_, at) => at % 3 === 0).map((_, at) => key((from + at * 11) % (from + 500)))
        const writes = [...new Map([...puts.map((one) => put(one, from)), ...drops.map(drop)].map((write) => [write.key, write])).values()]
        for (const { key: one, value } of writes) void (value === null ? expected.delete(one) : expected.add(one))
        await store.commit(writes)
        assert.deepEqual((await store.list('k/')).items.map((entry) => entry.key), [...expected].sort())
      }
      assert.deepEqual((await store.list('k/49')).items.map((entry) => entry.key), [...expected].filter((one) => one.startsWith('k/49')).sort())
    })

    it('refuses the whole commit when one expectation does not hold', async (t) => {
      const { store } = await opened(t)
      const first = await store.commit([put('a', 1)])
      const second = await store.commit([put('b', 1)])
      const wrong: Write[] = [{ key: 'a', expect: 'absent' }, { key: 'a', value: 2, expect: second }, { key: 'c', value: 2, expect: first }, { key: 'c', value: null, expect: second }]
      for (const write of wrong) {
        const refused = await refusal('conflict', store.commit([put('x', 1), write, drop('b')]))
        assert.equal(refused.subject, write.key)
      }
      assert.deepEqual((await store.list('')).items.map(({ key, revision }) => [key, revision]), [['a', first], ['b', second]])
      await store.commit([{ key: 'a', value: 2, expect: first }, { key: 'b', value: null, expect: second }, { key: 'c', value: 1, expect: 'absent' }])
      assert.deepEqual((await store.list('')).items.map(({ key, revision }) => [key, revision]), [['a', second + 1], ['c', second + 1]])
    })

    it('lets one of a hundred claimers win', async (t) => {
      const { store } = await opened(t)
      const claims = Array.from({ length: 100 }, (_, by) => store.commit([{ key: 'claim', value: { by }, expect: 'absent' }, put(`mark/${by}`, by)]))
      const results = await Promise.allSettled(claims)
      const winners = results.flatMap(({ status }, by) => (status === 'fulfilled' ? [by] : []))
      assert.equal(winners.length, 1)
      assert.deepEqual((await store.get('claim'))?.value, { by: winners[0] })
      assert.deepEqual((await store.list('mark/')).items.map(({ value }) => value), winners)
    })

    it('loses no increment of fifty racing counters', async (t) => {
      const { store } = await opened(t)
      await store.commit([put('count', 0)])
      const increment = async (): Promise<void> => {
        const { value, revision } = (await store.get('count'))!
        await store.commit([{ key: 'count', value: (value as number) + 1, expect: revision }]).catch(increment)
      }
      await Promise.all(Array.from({ length: 50 }, increment))
      assert.equal((await store.get('count'))?.value, 50)
    })

    it('is atomic for readers, in the order of the calls, and read back by whoever saw the commit', async (t) => {
      const { store } = await opened(t)
      const seen: number[] = []
      const commits = Array.from({ length: 200 }, async (_, at) => {
        const revision = await store.commit([put('left', at), put('right', at)])
        const { items } = await store.list('')
        assert.equal(items[0]?.value, items[1]?.value)
        assert.ok((items[0]?.value as number) >= at)
        return seen.push(revision)
      })
      await Promise.all(commits)
      assert.deepEqual(seen, Array.from(seen, (_, at) => seen[0]! + at))
      assert.equal((await store.get('left'))?.value, 199)
    })

    it('takes plain JSON as it was at the call, and gives it out frozen', async (t) => {
      const { store } = await opened(t)
      const mine = { list: [{ deep: 'äöü €  \u0000 \ud800', number: -0.5e-7 }], 'odd key': null, __proto: true }
      const copy = structuredClone(mine)
      const committed = store.commit([put('a', mine)])
      mine.list[0]!.deep = 'changed'
      const revision = await committed
      mine.list.pop()
      const read = (await store.get('a'))!
      const [batch] = await take(store.watch('', revision - 1), 1)
      for (const value of [read.value, (await store.list('')).items[0]?.value, changesOf(batch)[0]?.value] as (typeof mine)[]) {
        assert.deepEqual(value, copy)
        assert.throws(() => (value.list[0]!.deep = 'mine'), TypeError)
        assert.throws(() => value.list.push(value.list[0]!), TypeError)
      }
      assert.throws(() => Object.assign(read, { revision: 0 }), TypeError)
      const { items } = await store.list('')
      items.pop()
      assert.equal((await store.list('')).items.length, 1, 'the array of a list is the caller\'s')
    })

    it('refuses keys, values and expectations that it cannot keep', async (t) => {
      const { store } = await opened(t)
      const cyclic: { self?: unknown } = {}
      cyclic.self = cyclic
      const deep = (levels: number): unknown => (levels === 0 ? 1 : [deep(levels - 1)])
      const bad: Write[] = [put('', 1), put('x'.repeat(513), 1), put('ä', 1), put('a\n', 1), put('a', () => 1), put('a', 1n), put('a', cyclic), put('a', deep(101)), { key: 'a', value: 1, expect: 1.5 }]
      for (const write of bad) await refusal('invalid', store.commit([put('good', 1), write]))
      assert.equal((await refusal('invalid', store.commit([put('a', 1), put('b', 1), drop('a')]))).subject, 'a')
      assert.equal((await store.list('')).items.length, 0)
      await store.commit([put('x'.repeat(512), deep(100))])
    })

    it('bounds the size of values and commits', async (t) => {
      const { store } = await opened(t)
      const megabyte = 1 << 20
      await store.commit([put('a', 'x'.repeat(megabyte - 2)), put('b', 'ü'.repeat(megabyte / 2 - 1))])
      await refusal('too_large', store.commit([put('c', 1), put('a', 'x'.repeat(megabyte - 1))]))
      await refusal('too_large', store.commit([put('c', 1), put('b', 'ü'.repeat(megabyte / 2))]))
      const most = Array.from({ length: 33 }, (_, at) => put(`m/${at}`, 'x'.repeat(megabyte - 100)))
      await refusal('too_large', store.commit(most))
      await store.commit(most.slice(1))
      const { items } = await store.list('')
      assert.deepEqual(items.map(({ value }) => (value as string).length), [megabyte - 2, megabyte / 2 - 1, ...Array<number>(32).fill(megabyte - 100)])
    })

    it('takes far more at once than it can write at once', async (t) => {
      const { store } = await opened(t)
      const first = await store.commit([put('a', 1)])
      const commits = Array.from({ length: 5000 }, (_, at) => store.commit(at < 60 ? [put(`a/${at}`, 'x'.repeat(1 << 19))] : [{ key: 'a', expect: first }, put('b', at)]))
      assert.deepEqual(await Promise.all(commits), Array.from(commits, (_, at) => first + 1 + at))
    })

    it('drops an aborted call before it begins and tells the outcome of any other', async (t) => {
      const { store } = await opened(t)
      const aborted = AbortSignal.abort(new Error('enough'))
      for (const call of [store.get('a', { signal: aborted }), store.list('', { signal: aborted }), store.commit([put('a', 1)], { signal: aborted }), store.lease(10, { signal: aborted })]) {
        await assert.rejects(call, /enough/)
      }
      assert.equal(await store.get('a'), undefined)
      for (const late of [undefined, () => Promise.resolve(), () => new Promise((resolve) => setImmediate(resolve))]) {
        const controller = new AbortController()
        const [{ revision }, commit] = [await store.list(''), store.commit([put('a', 1)], { signal: controller.signal })]
        const outcome = commit.then(() => 1, () => 0)
        if (late) await late()
        controller.abort()
        const wrote = await outcome
        assert.equal((await store.list('')).revision - revision, wrote)
      }
    })

    it('equals a plain map under any commits', async (t) => {
      const { store } = await opened(t)
      let run = 0
      const write = fc.record({ key: fc.integer({ min: 0, max: 5 }), value: fc.oneof(fc.jsonValue({ maxDepth: 3 }), fc.constant(undefined)), expect: fc.constantFrom('none', 'none', 'absent', 'present', 'stale') })
      const property = fc.asyncProperty(fc.array(fc.uniqueArray(write, { maxLength: 4, selector: ({ key }) => key }), { maxLength: 12 }), fc.boolean(), async (commits, pipelined) => {
        const prefix = `run/${run++}/`
        const model = new Map<string, Entry>()
        let { revision } = await store.list('')
        const begin = revision
        const expected: (number | 'conflict')[] = []
        const results: Promise<number | 'conflict'>[] = []
        for (const writes of commits) {
          const made = writes.map(({ key, value, expect }): Write => {
            const name = `${prefix}${key}`
            const present = model.get(name)?.revision
            return { key: name, value, expect: expect === 'none' ? undefined : expect === 'absent' ? 'absent' : expect === 'present' ? (present ?? 'absent') : (present ?? 0) - 1 }
          })
          const holds = made.every(({ key, expect }) => expect === undefined || expect === (model.get(key)?.revision ?? 'absent'))
          const changing = made.filter(({ key, value }) => value !== undefined && (value !== null || model.has(key)))
          if (holds && changing.length > 0) {
            revision++
            for (const { key, value } of changing) void (value === null ? model.delete(key) : model.set(key, { key, value: JSON.parse(JSON.stringify(value)), revision }))
          }
          expected.push(holds ? revision : 'conflict')
          results.push(store.commit(made).catch((fault) => fault.code))
          if (!pipelined) await results.at(-1)
        }
        assert.deepEqual(await Promise.all(results), expected)
        assert.deepEqual((await store.list(prefix)).items, [...model.values()].sort((one, other) => (one.key < other.key ? -1 : 1)))
        const replayed = new Map<string, unknown>()
        for (const batch of revision > begin ? await take(store.watch('', begin), revision - begin) : []) {
          for (const { key, value } of changesOf(batch)) void (value === undefined ? replayed.delete(key) : replayed.set(key, value))
        }
        assert.deepEqual(replayed, new Map([...model].map(([key, { value }]) => [key, value])))
      })
      await fc.assert(property, { numRuns: 100, seed: 42 })
    })

    it('ends with what was asked done, and answers nothing after', async (t) => {
      const { store, reopen } = await opened(t)
      const watched = take(store.watch('none', (await store.list('')).revision), 1)
      const commits = Array.from({ length: 50 }, (_, at) => store.commit([put(`a/${at}`, at === 0 ? 0 : 'x'.repeat(1 << 19))]))
      const closed = store[Symbol.asyncDispose]()
      await Promise.all(commits)
      await closed
      await store[Symbol.asyncDispose]()
      assert.deepEqual(await watched, [])
      assert.deepEqual(await take(store.watch('', 0), 1), [])
      for (const call of [store.get('a'), store.list(''), store.commit([put('a', 1)]), store.lease(10)]) await refusal('unavailable', call)
      if (durable) assert.equal((await (await reopen()).list('a/')).items.length, 50)
    })
  })

  describe(`the store ${name}: watches`, () => {
    it('tells every commit once and in order to every reader, whenever it began', async (t) => {
      const { store } = await opened(t)
      const begin = (await store.list('')).revision
      const writers = Array.from({ length: 8 }, async (_, by) => {
        for (let at = 0; at < 50; at++) await store.commit([put(`w/${by}`, at), put(`n/${by}/${at}`, 1)])
      })
      const early = take(store.watch('', begin), 400)
      await Promise.race(writers)
      const late = take(store.watch('', begin + 100), 300)
      const one = take(store.watch('w/3', begin), 50)
      await Promise.all(writers)
      const past = take(store.watch('', begin), 400)
      for (const [batches, from] of [[await early, begin], [await late, begin + 100], [await past, begin]] as const) {
        assert.deepEqual(batches.map(revisionOf), Array.from(batches, (_, at) => from + at + 1))
      }
      assert.deepEqual(await past, await early)
      assert.deepEqual((await one).flatMap(changesOf).map(({ key, value }) => [key, value]), Array.from({ length: 50 }, (_, at) => ['w/3', at]))
      for (const batch of await early) assert.equal(changesOf(batch).length, 2)
    })

    it('tells of the prefix only, deletions as undefined, and nothing of refused commits', async (t) => {
      const { store } = await opened(t)
      const from = await store.commit([put('a/1', 1), put('b/1', 1)])
      await store.commit([put('b/2', 1)])
      await store.commit([put('a/2', 2), put('b/1', 2), drop('a/1'), drop('a/missing')])
      await refusal('conflict', store.commit([{ key: 'a/3', value: 1, expect: 99 }]))
      await store.commit([put('a/4', 4)])
      const batches = await take(store.watch('a/', from), 2)
      assert.deepEqual(batches.map(revisionOf), [from + 2, from + 3])
      assert.deepEqual(changesOf(batches[0]).map(({ key, value }) => [key, value]), [['a/2', 2], ['a/1', undefined]])
      assert.throws(() => (changesOf(batches[0]) as unknown[]).pop(), TypeError)
    })

    it('tells how far it is on request', async (t) => {
      const { store } = await opened(t)
      const from = await store.commit([put('a', 1)])
      const reader = store.watch('a', from, { progress: true })[Symbol.asyncIterator]()
      const waiting = reader.next()
      await store.commit([put('b', 1)])
      assert.deepEqual((await waiting).value, { revision: from + 1, changes: [] })
      for (let at = 0; at < 5; at++) await store.commit([put('b', at)])
      await store.commit([put('a', 2)])
      await store.commit([put('b', 9)])
      const [touched, progress] = [(await reader.next()).value, (await reader.next()).value]
      assert.deepEqual([revisionOf(touched!), changesOf(touched!).length], [from + 7, 1])
      assert.deepEqual(progress, { revision: from + 8, changes: [] })
      await reader.return?.()
    })

    it('remembers ten thousand commits and says when they are not enough', async (t) => {
      const { store } = await opened(t)
      const from = await store.commit([put('a', 0)])
      const slow = store.watch('', from)[Symbol.asyncIterator]()
      await store.commit([put('a', 'first')])
      assert.equal(revisionOf((await slow.next()).value!), from + 1)
      await Promise.all(Array.from({ length: 10_000 }, (_, at) => store.commit([put('a', at)])))
      assert.equal((await take(store.watch('', from + 1), 10_000)).length, 10_000, 'what is promised')
      assert.equal(revisionOf((await slow.next()).value!), from + 2)
      await Promise.all(Array.from({ length: 30_000 }, (_, at) => store.commit([put('a', at)])))
      assert.deepEqual(await take(store.watch('', from), 2), [{ expired: true }])
      assert.deepEqual(await take(store.watch('nothing here', from), 2), [{ expired: true }])
      assert.deepEqual([(await slow.next()).value, (await slow.next()).done], [{ expired: true }, true])
      assert.deepEqual(await take(store.watch('', from + 1_000_000), 2), [{ expired: true }], 'a revision that never was')
    })

    it('ends with its signal, also while it waits and before it begins', async (t) => {
      const { store } = await opened(t)
      const { revision } = await store.list('')
      const controller = new AbortController()
      const waiting = take(store.watch('', revision, { signal: controller.signal }), 1)
      await new Promise((resolve) => setImmediate(resolve))
      controller.abort()
      assert.deepEqual(await waiting, [])
      await store.commit([put('a', 1)])
      assert.deepEqual(await take(store.watch('', revision, { signal: controller.signal }), 1), [])
    })
  })

  if (!durable) return
  describe(`the store ${name}: opened again`, () => {
    it('has everything but what was leased, and goes on counting', async (t) => {
      const { store, reopen } = await opened(t)
      const lease = await store.lease(10)
      await store.commit(Array.from({ length: 3000 }, (_, at) => put(`k/${at}`, { at, text: 'ü'.repeat(at % 50) })))
      await store.commit([drop('k/0'), put('leased/1', 1, lease.id), put('leased/2', 1, lease.id), put('freed', 1, lease.id)])
      await store.commit([put('freed', 2)])
      const before = await store.list('')
      const again = await reopen()
      const after = await again.list('')
      assert.deepEqual(after.items, before.items.filter(({ key }) => !key.startsWith('leased/')))
      assert.equal(after.revision, before.revision + 1)
      assert.deepEqual(await take(again.watch('', before.revision), 2), [{ expired: true }])
      assert.equal(await again.commit([put('next', 1)]), after.revision + 1)
      assert.equal((await take(again.watch('', after.revision), 1)).map(revisionOf)[0], after.revision + 1)
      await refusal('not_found', again.commit([put('a', 1, lease.id)]))
      const third = await reopen()
      assert.equal((await third.list('')).revision, after.revision + 1, 'no lease, no commit')
      const { value } = (await third.get('k/1'))!
      assert.throws(() => Object.assign(value as object, { at: 2 }), TypeError)
    })
  })
}
