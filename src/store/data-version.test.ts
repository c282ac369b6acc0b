import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { silentLog } from '../base/log.ts'
import { realWorld as world } from '../base/world.ts'
import { check } from '../model/check.ts'
import { EnvSpec } from '../model/env.ts'
import { type RecordStep, recordSteps } from '../model/record-steps.ts'
import { type EnvRecord, keys, type VmRecord } from '../model/records.ts'
import { bringUp } from './data-version.ts'
import { memoryStore } from './memory.ts'
import type { Store } from './store.ts'
import { refusal } from './under-test.ts'

/** As a server of that version wrote them. */
const recordsOf = (version: number) => JSON.parse(readFileSync(new URL(`./golden/records-${version}.json`, import.meta.url), 'utf8')) as Record<string, unknown>

async function storeWith(records: Record<string, unknown>): Promise<Store> {
  const store = memoryStore({ world })
  await store.commit(Object.entries(records).map(([key, value]) => ({ key, value })))
  return store
}

const contentsOf = async (store: Store) => Object.fromEntries((await store.list('')).items.map(({ key, value }) => [key, value]))
const counting: RecordStep = { about: 'numbers grow by one', change: (_key, value) => (typeof value === 'number' ? value + 1 : value) }
const dropping: RecordStep = { about: 'what is called old goes', change: (key, value) => (key.startsWith('old/') ? null : value) }

test('L12: records of the first version are brought up: ENVs get what is new with its default, VMs name all their ways in, all else stays', async () => {
  const before = recordsOf(0)
  await using store = await storeWith(before)
  await bringUp(store, silentLog)
  const after = await contentsOf(store)
  assert.deepEqual(after[keys.version], { version: recordSteps.length })
  const envs = Object.keys(before).filter((key) => key.startsWith(keys.envs))
  assert.equal(envs.length, 2)
  for (const key of envs) {
    const [was, is] = [before[key] as EnvRecord, after[key] as EnvRecord]
    assert.deepEqual(is, { ...was, spec: { ...was.spec, longLife: false, atEnd: 'delete', keepDisks: false, deny: [], sshKeys: [], peers: [], exceptions: {}, starts: 0 } })
    const { value, wrong } = check(EnvSpec, is.spec)
    assert.equal(wrong, undefined, 'it is a spec as this version keeps them')
    assert.deepEqual(value, is.spec, 'and nothing in it is left to a default')
  }
  const vms = Object.keys(before).filter((key) => key.startsWith(keys.vms))
  assert.equal(vms.length, 3)
  for (const key of vms) {
    const { agent, ...was } = before[key] as VmRecord & { agent: string }
    assert.deepEqual(after[key], { ...was, ways: [agent] })
  }
  for (const key of Object.keys(before)) if (![...envs, ...vms].includes(key)) assert.deepEqual(after[key], before[key], key)
})

test('L12: it happens once: the second start changes nothing', async () => {
  await using store = await storeWith(recordsOf(0))
  await bringUp(store, silentLog)
  const { revision } = await store.list('')
  await bringUp(store, silentLog)
  assert.equal((await store.list('')).revision, revision)
})

test('a new store has the newest version from the start, and no step is taken', async () => {
  await using store = memoryStore({ world })
  await bringUp(store, silentLog, [counting])
  await store.commit([{ key: 'a', value: 1 }])
  await bringUp(store, silentLog, [counting])
  assert.deepEqual(await contentsOf(store), { a: 1, [keys.version]: { version: 1 } })
})

test('steps that were missed are taken in their order, as one commit', async () => {
  await using store = await storeWith({ a: 1, 'old/b': 2, c: 'text' })
  const { revision } = await store.list('')
  await bringUp(store, silentLog, [counting])
  await bringUp(store, silentLog, [counting, dropping, counting])
  assert.deepEqual(await contentsOf(store), { a: 3, c: 'text', [keys.version]: { version: 3 } })
  assert.equal((await store.list('')).revision, revision + 2)
})

test('L12: records of a newer version are refused with the remedy, and left as they are', async () => {
  await using store = await storeWith({ a: 1, [keys.version]: { version: 9 } })
  const { message, remedy } = await refusal('unsupported', bringUp(store, silentLog))
  assert.match(message, /they have version 9, this one knows \d/)
  assert.match(remedy ?? '', /start the version that wrote them/)
  assert.deepEqual(await contentsOf(store), { a: 1, [keys.version]: { version: 9 } })
})

test('a step that fails, and a version that is none, change nothing', async () => {
  await using store = await storeWith({ a: 1, b: 2 })
  const failing: RecordStep = { about: 'fails', change: (key) => (key === 'b' ? assert.fail('it is b') : 7) }
  await assert.rejects(bringUp(store, silentLog, [failing]), /it is b/)
  assert.deepEqual(await contentsOf(store), { a: 1, b: 2 })
  await store.commit([{ key: keys.version, value: 'three' }])
  await refusal('failed', bringUp(store, silentLog, [counting]))
  assert.equal((await store.get('a'))?.value, 1)
})

test('a record that is damaged is passed over by every step', () => {
  for (const value of [null, 1, 'text', [], {}, { spec: null }, { spec: [] }]) for (const { change } of recordSteps) assert.equal(change('desired/env/x', value), value)
})
