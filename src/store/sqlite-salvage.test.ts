import assert from 'node:assert/strict'
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { it, type TestContext } from 'node:test'
import { silentLog } from '../base/log.ts'
import { realWorld } from '../base/world.ts'
import { sqliteStore } from './sqlite.ts'
import { type DamagedRecord, salvage } from './sqlite-salvage.ts'
import { put, refusal } from './under-test.ts'

/** A closed store of so many records. */
async function filled(t: TestContext, records = 30, length = 100) {
  const dir = mkdtempSync('/tmp/tt-store-')
  t.after(() => rmSync(dir, { recursive: true }))
  const open = () => sqliteStore({ dir, world: realWorld, log: silentLog })
  await using store = await open()
  for (let at = 0; at < records; at += 100) await store.commit(Array.from({ length: Math.min(100, records - at) }, (_, by) => put(`k/${at + by}`, `${at + by} ${'x'.repeat(length)}`)))
  return { dir, file: `${dir}/store.sqlite`, open }
}

function spoil(file: string, key: string): void {
  using db = new DatabaseSync(file)
  db.prepare("UPDATE entries SET value = '{' || key WHERE key = ?").run(key)
}

it('gives what is no JSON, and takes out only what it is told', async (t) => {
  const { dir, file, open } = await filled(t)
  for (const key of ['k/3', 'k/7']) spoil(file, key)
  const seen: DamagedRecord[] = []
  salvage(dir, (records, hasUnder) => {
    seen.push(...records.map(({ key, text }) => ({ key, text })))
    assert.deepEqual([hasUnder('k/', '29 xxx'), hasUnder('k/', 'nowhere'), hasUnder('other/', '29 xxx')], [true, false, false])
    return ['k/3']
  })
  assert.deepEqual(seen, [{ key: 'k/3', text: '{k/3' }, { key: 'k/7', text: '{k/7' }])
  await using store = await open()
  assert.equal((await store.list('k/')).items.length, 29)
  assert.equal(await store.get('k/3'), undefined)
})

it('refuses a store that is in use, and a file that is damaged, as opening would', async (t) => {
  const { dir, file, open } = await filled(t)
  {
    await using _ = await open()
    assert.match((await refusal('conflict', Promise.resolve().then(() => salvage(dir, () => [])))).message, /in use/)
  }
  overwrite(file, 100, 400)
  const { message, remedy } = await refusal('failed', Promise.resolve().then(() => salvage(dir, () => [])))
  assert.match(message, /cannot be used: it is damaged/)
  assert.match(remedy ?? '', /backup/)
})

it('the check of a store that is open sees a page that was overwritten under it', async (t) => {
  const { file, open } = await filled(t, 2000, 4000)
  await using store = await open()
  assert.deepEqual(await store.check?.(), [])
  overwrite(file, Math.floor(statSync(file).size / 2 / 4096) * 4096, 8192)
  const damages = (await store.check?.()) ?? []
  assert.ok(damages.length > 0)
  assert.ok(damages.every(({ key, why }) => key === undefined && why !== ''))
  assert.ok((await store.get('k/3'))?.value, 'a look does not end the store')
  await store.commit([put('k/new', 1)])
})

function overwrite(file: string, offset: number, bytes: number): void {
  const fd = openSync(file, 'r+')
  writeSync(fd, Buffer.alloc(bytes, 0xff), 0, bytes, offset)
  closeSync(fd)
}
