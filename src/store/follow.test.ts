import assert from 'node:assert/strict'
import { test } from 'node:test'
import { realWorld as world } from '../base/world.ts'
import { follow } from './follow.ts'
import { memoryStore } from './memory.ts'
import { view } from './view.ts'

test('a follower is told what there is, then what changes, until it stops', async () => {
  await using store = memoryStore({ world })
  await store.commit([{ key: 'a/1', value: 1 }, { key: 'b/1', value: 9 }])
  await using seen = await view<number>(store, 'a/', { world, onFault: (fault) => assert.fail(String(fault)) })
  const told: [string, number | undefined, number | undefined][] = []
  const stop = follow(seen, (key, now, before) => told.push([key, now, before]))
  await seen.reached(await store.commit([{ key: 'a/1', value: 2 }, { key: 'a/2', value: 3 }]))
  await seen.reached(await store.commit([{ key: 'a/1', value: null }]))
  stop()
  await seen.reached(await store.commit([{ key: 'a/2', value: 4 }]))
  assert.deepEqual(told, [['a/1', 1, undefined], ['a/1', 2, 1], ['a/2', 3, undefined], ['a/1', undefined, 2]])
})
