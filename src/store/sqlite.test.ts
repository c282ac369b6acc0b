import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, openSync, readdirSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { describe, it, type TestContext } from 'node:test'
import { silentLog } from '../base/log.ts'
import { realWorld } from '../base/world.ts'
import { leaseContract } from './leases.contract.ts'
import { notJson } from './sound.ts'
import { sqliteStore } from './sqlite.ts'
import { storeContract } from './store.contract.ts'
import { put, refusal, storeUnderTest } from './under-test.ts'

const sqlite = storeUnderTest({
  name: 'sqlite',
  durable: true,
  async place() {
    const dir = mkdtempSync('/tmp/tt-store-')
    return { open: (world) => sqliteStore({ dir, world, log: silentLog }), [Symbol.asyncDispose]: async () => rmSync(dir, { recursive: true }) }
  },
})

storeContract(sqlite)
leaseContract(sqlite)

describe('an SQLite store', () => {
  const place = (t: TestContext) => {
    const dir = mkdtempSync('/tmp/tt-store-')
    t.after(() => rmSync(dir, { recursive: true }))
    return { dir, file: `${dir}/store.sqlite`, open: () => sqliteStore({ dir, world: realWorld, log: silentLog }) }
  }
  /** A store with something in it, closed. */
  const filled = async (t: TestContext) => {
    const made = place(t)
    await using store = await made.open()
    for (let at = 0; at < 20; at++) await store.commit(Array.from({ length: 50 }, (_, by) => put(`k/${at}/${by}`, 'x'.repeat(500))))
    return made
  }

  it('is of one process, and says which', async (t) => {
    const { dir, open } = place(t)
    await using store = await open()
    await store.commit([put('a', 1)])
    assert.match((await refusal('conflict', open())).message, new RegExp(`is in use by process ${process.pid}$`))
    const code = `import { sqliteStore } from '${import.meta.resolve('./sqlite.ts')}'
      await sqliteStore({ dir: ${JSON.stringify(dir)} }).catch((fault) => console.log(fault.code, fault.message))`
    const other = spawnSync(process.execPath, ['--input-type=module', '--eval', code], { encoding: 'utf8' })
    assert.match(other.stdout, new RegExp(`^conflict .* is in use by process ${process.pid}\n$`), other.stderr)
    assert.equal(await store.commit([put('a', 2)]), 2, 'the first one is not disturbed')
  })

  it('is readable by its user alone', async (t) => {
    const { dir, open } = place(t)
    await using store = await open()
    await store.commit([put('a', 1)])
    const modes = readdirSync(dir).map((name) => `${name} ${(statSync(`${dir}/${name}`).mode & 0o777).toString(8)}`)
    assert.deepEqual(modes.toSorted(), ['store.sqlite 600', 'store.sqlite-wal 600', 'store.sqlite.holder 600'])
  })

  it('takes any path', async (t) => {
    const { dir } = place(t)
    const file = `${dir}/50% of ?mode=ro&x #1 ü`
    await using store = await sqliteStore({ file, world: realWorld, log: silentLog })
    await store.commit([put('a', 1)])
    assert.equal(statSync(file).isFile(), true)
  })

  it('refuses the file of a newer schema, and names both', async (t) => {
    const { file, open } = await filled(t)
    change(file, "UPDATE meta SET value = 7 WHERE name = 'schema'")
    const { message, remedy } = await refusal('unsupported', open())
    assert.match(message, /newer tt: its schema is 7, this one knows 1/)
    assert.match(remedy ?? '', /start the version that wrote it/)
    change(file, "UPDATE meta SET value = 1 WHERE name = 'schema'")
    await using store = await open()
    assert.equal((await store.list('')).items.length, 1000, 'nothing was touched')
  })

  it('refuses what is not its own, saying where and what to do', async (t) => {
    const { dir, file, open } = place(t)
    const saying = async (pattern: RegExp) => {
      const refused = await refusal('failed', open())
      assert.match(refused.message, pattern)
      assert.ok(refused.message.includes(file) && refused.remedy)
    }
    writeFileSync(file, 'not a database, but long enough to look like one\n'.repeat(100))
    await saying(/not an SQLite database/)
    rmSync(file)
    change(file, 'CREATE TABLE songs (title TEXT)')
    await saying(/database of something else/)
    rmSync(file)
    mkdirSync(file)
    await saying(/cannot be opened/)
    const missing = await refusal('failed', sqliteStore({ dir: `${dir}/none`, world: realWorld, log: silentLog }))
    assert.match(missing.message, /none\/store\.sqlite cannot be made/)
  })

  it('refuses a damaged file instead of serving half of it', async (t) => {
    const { file, open } = await filled(t)
    const fd = openSync(file, 'r+')
    for (let page = 20; page < 60; page++) writeSync(fd, Buffer.alloc(4096, 0xa5), 0, 4096, page * 4096)
    const { message, remedy } = await refusal('failed', open())
    assert.match(message, /it is damaged/)
    assert.match(remedy ?? '', /backup/)
  })

  it('fault 29: opens with a value that another program spoiled, and says that it is none', async (t) => {
    const { file, open } = await filled(t)
    change(file, "UPDATE entries SET value = '{' WHERE key = 'k/3/3'")
    await using spoiled = await open()
    assert.equal((await spoiled.get('k/3/3'))?.value, notJson)
    assert.deepEqual(await spoiled.check?.(), [{ key: 'k/3/3', why: notJson.damaged }])
    await spoiled[Symbol.asyncDispose]()
    change(file, "UPDATE entries SET value = '3' WHERE key = 'k/3/3'")
    await using store = await open()
    assert.equal((await store.get('k/3/3'))?.value, 3)
  })
})

function change(file: string, statement: string): void {
  const db = new DatabaseSync(file)
  db.exec(statement)
  db.close()
}
