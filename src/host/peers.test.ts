import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLog } from '../base/log.ts'
import { realWorld as world } from '../base/world.ts'
import type { EnvSpec } from '../model/env.ts'
import { type EnvRecord, keys } from '../model/records.ts'
import { memoryStore } from '../store/memory.ts'
import { arePeers, envPeers } from './peers.ts'
import { hostViews } from './views.ts'

const env = (name: string, owner: string, ...peers: string[]): EnvRecord => ({ name, uid: `uid${name}`, owner, created: '', spec: { peers } as unknown as EnvSpec })

test('[E14] ENVs are peers if both name the other, or if one does and they have the same owner; nobody is his own', () => {
  const cases: [EnvRecord, EnvRecord, boolean][] = [
    [env('a', 'ann'), env('b', 'ann'), false],
    [env('a', 'ann', 'b'), env('b', 'ann'), true],
    [env('a', 'ann', 'b'), env('b', 'bob'), false],
    [env('a', 'ann', 'b'), env('b', 'bob', 'c', 'a'), true],
    [env('a', 'ann', 'a'), env('a', 'ann', 'a'), false],
    [env('a', 'ann', 'b'), { ...env('b', 'ann'), spec: {} as EnvSpec }, true],
  ]
  for (const [one, other, wanted] of cases) {
    assert.equal(arePeers(one, other), wanted, `${JSON.stringify(one)} ${JSON.stringify(other)}`)
    assert.equal(arePeers(other, one), wanted)
  }
})

test('[E14] peers follow what is wanted: ENVs that come, change, fail, are taken away and come again under the same name', async () => {
  await using store = memoryStore({ world })
  await using views = await hostViews(store, { world, log: silentLog })
  const put = async (record: EnvRecord | undefined, name: string) => views.reached(await store.commit([{ key: keys.env(name), value: record ?? null }]))
  const [a, b, c] = [env('a', 'ann', 'b', 'c'), env('b', 'ann'), env('c', 'bob')]
  await put(b, 'b')
  using peers = envPeers(views)
  const told: string[] = []
  const stop = peers.onChange((uid) => told.push(uid))
  const expect = (record: EnvRecord, names: string[], ...changed: string[]) => {
    assert.deepEqual(peers.of(record).map(({ name }) => name).sort(), names)
    assert.deepEqual([...new Set(told.splice(0))].sort(), changed.map((name) => `uid${name}`))
  }
  await put(a, 'a')
  expect(a, ['b'], 'a', 'b')
  expect(b, ['a'])
  await put(c, 'c')
  expect(a, ['b'])
  const willing = env('c', 'bob', 'a')
  await put(willing, 'c')
  expect(a, ['b', 'c'], 'a', 'c')
  await put({ ...b, spec: { peers: [], lifetimeSeconds: 5 } as unknown as EnvSpec }, 'b')
  expect(a, ['b', 'c'])
  await put({ ...b, removing: 'now' }, 'b')
  expect(a, ['c'], 'a', 'b')
  await put(undefined, 'b')
  expect(a, ['c'])
  await put({ ...b, uid: 'uidb2' }, 'b')
  expect(a, ['b', 'c'], 'a', 'b2')
  await views.reached(await store.commit([{ key: keys.phase('a'), value: { uid: a.uid, phase: 'failed', since: '' } }]))
  expect(a, [], 'a', 'b2', 'c')
  await views.reached(await store.commit([{ key: keys.phase('a'), value: { uid: a.uid, phase: 'ready', since: '' } }]))
  expect(willing, ['a'], 'a', 'b2', 'c')
  await put({ ...a, spec: { peers: [] } as unknown as EnvSpec }, 'a')
  expect(willing, [], 'a', 'b2', 'c')
  stop()
  await put(a, 'a')
  expect(willing, ['a'])
})
