import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { silentLog } from '../base/log.ts'
import { realWorld as world } from '../base/world.ts'
import { memoryStore } from './memory.ts'
import { soundStore } from './sound.ts'
import { sqliteStore } from './sqlite.ts'
import { refusal } from './under-test.ts'

const numbersOnly = (_key: string, value: unknown) => (typeof value === 'number' ? undefined : 'it is no number')

async function storeOf(records: Record<string, unknown>) {
  const store = memoryStore({ world })
  await store.commit(Object.entries(records).map(([key, value]) => ({ key, value })))
  const said: object[] = []
  const sound = await soundStore(store, numbersOnly, { error: (_message, fields) => said.push(fields ?? {}) })
  return { store, sound, said }
}

test('fault 29: a record that cannot be read is left out of everything, and named', async () => {
  const { store, sound, said } = await storeOf({ 'a/1': 1, 'a/2': 'two', 'a/3': 3 })
  assert.deepEqual((await sound.list('a/')).items.map(({ key }) => key), ['a/1', 'a/3'])
  assert.equal(await sound.get('a/2'), undefined)
  assert.deepEqual(said, [{ key: 'a/2', why: 'it is no number' }])
  assert.deepEqual([...sound.leftOut.why], [['a/2', 'it is no number']])
  assert.equal((await sound.leftOut.whole.list('a/')).items.length, 3)
  await store[Symbol.asyncDispose]()
})

test('who wrote it finds nothing there and writes it anew; then it is seen again', async () => {
  const { sound } = await storeOf({ 'a/1': 'one' })
  await sound.commit([{ key: 'a/1', value: 5, expect: 'absent' }])
  assert.equal((await sound.get('a/1'))?.value, 5)
  assert.equal(sound.leftOut.why.size, 0)
  await refusal('conflict', sound.commit([{ key: 'a/1', value: 6, expect: 'absent' }]))
})

test('a commit that is refused leaves it hidden, a mere check too, and deleting it is its end', async () => {
  const { sound } = await storeOf({ 'a/1': 'one', 'a/2': 2 })
  await refusal('conflict', sound.commit([{ key: 'a/1', value: 5, expect: 'absent' }, { key: 'a/2', value: 3, expect: 'absent' }]))
  await sound.commit([{ key: 'a/1', expect: 'absent' }])
  assert.equal(sound.leftOut.why.size, 1)
  await sound.commit([{ key: 'a/1', value: null }])
  assert.equal(sound.leftOut.why.size, 0)
  assert.equal((await sound.leftOut.whole.list('')).items.length, 1)
})

test('the record of an ENV is never overwritten by chance: VMs hang on it', async () => {
  const { sound } = await storeOf({ 'desired/env/x': 'damaged' })
  await refusal('conflict', sound.commit([{ key: 'desired/env/x', value: 1, expect: 'absent' }]))
  await sound.commit([{ key: 'desired/env/x', value: null }])
  await sound.commit([{ key: 'desired/env/x', value: 1, expect: 'absent' }])
})

test('fault 29: an SQLite store opens with a record whose text is cut off, shows the others, and lets it be written anew', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tt-sound-'))
  try {
    await using first = await sqliteStore({ dir, world, log: silentLog })
    await first.commit([{ key: 'a', value: 1 }, { key: 'b', value: 2 }, { key: 'c', value: 3 }])
    await first[Symbol.asyncDispose]()
    const db = new DatabaseSync(join(dir, 'store.sqlite'))
    db.exec(`UPDATE entries SET value = '{"cut": tr' WHERE key = 'b'`)
    db.close()
    await using opened = await sqliteStore({ dir, world, log: silentLog })
    const sound = await soundStore(opened, () => undefined, silentLog)
    assert.deepEqual((await sound.list('')).items.map(({ key, value }) => [key, value]), [['a', 1], ['c', 3]])
    assert.deepEqual([...sound.leftOut.why], [['b', 'it is not JSON']])
    assert.deepEqual(await opened.check?.(), [{ key: 'b', why: 'it is not JSON' }])
    await sound.commit([{ key: 'b', value: 4, expect: 'absent' }])
    assert.equal((await sound.get('b'))?.value, 4)
    assert.deepEqual(await opened.check?.(), [])
  } finally {
    rmSync(dir, { recursive: true })
  }
})
