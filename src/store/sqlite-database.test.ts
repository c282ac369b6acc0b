import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { argv, execPath } from 'node:process'
import { it, type TestContext } from 'node:test'
import { silentLog } from '../base/log.ts'
import { run, runOk } from '../base/run.ts'
import { realWorld } from '../base/world.ts'
import { sqliteStore } from './sqlite.ts'
import type { Store, Write } from './store.ts'
import { put, refusal, take } from './under-test.ts'

const open = (dir: string) => sqliteStore({ dir, world: realWorld, log: silentLog })
const large = (at: number): Write[] => [put(`large/${at}/one`, 'x'.repeat(20_000)), put(`large/${at}/other`, 'x'.repeat(20_000))]

/** Runs a part of this file as a process of its own, in `dir`. */
async function apart(part: keyof typeof parts, dir: string, [program, ...args]: [string, ...string[]]): Promise<void> {
  await runOk([program, ...args, execPath, import.meta.filename, part, dir])
}

const isHere = async (argv: [string, ...string[]]): Promise<boolean> =>
  run(argv).then(
    ({ code }) => code === 0,
    () => false,
  )

async function untilRefused(store: Store, code: 'exhausted' | 'failed'): Promise<number> {
  for (let at = 0; ; at++) {
    const results = await Promise.allSettled([store.commit(large(at)), store.commit([put(`small/${at}`, at)])])
    const [one, other] = (await store.list(`large/${at}/`)).items
    if (results[0].status === 'fulfilled') assert.ok(one && other)
    else {
      assert.equal(one ?? other, undefined, 'nothing of a refused commit')
      assert.equal((results[0].reason as { code: string }).code, code)
      return at
    }
    assert.ok(at < 10_000)
  }
}

const parts = {
  /** Inside a mount namespace of its own: a disk of 2 MB fills up, and is given room again. */
  async full(dir: string) {
    await runOk(['mount', '-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', dir])
    const store = await open(dir)
    writeFileSync(`${dir}/ballast`, Buffer.alloc(1 << 20))
    const lease = await store.lease(10)
    await store.commit([put('leased', 1, lease.id)])
    const huge = Array.from({ length: 100 }, (_, at) => put(`huge/${at}`, 'x'.repeat(20_000)))
    const [small, refused, other] = [store.commit([put('small/one', 1)]), refusal('exhausted', store.commit(huge)), store.commit([put('small/other', 1)])]
    await refused
    assert.equal(await other, (await small) + 1, 'those beside it have room')
    const stopped = await untilRefused(store, 'exhausted')
    assert.ok(stopped > 0)
    const [{ items, revision }] = [await store.list('')]
    for (let again = 0; again < 3; again++) assert.match((await refusal('exhausted', store.commit(large(stopped)))).remedy ?? '', /free some space/)
    assert.ok((await store.list('')).revision === revision, 'a refusal is no commit')
    rmSync(`${dir}/ballast`)
    assert.equal(await store.commit(large(stopped)), revision + 1)
    await store[Symbol.asyncDispose]()
    const again = await open(dir)
    const expected = [...items.map(({ key }) => key).filter((key) => key !== 'leased'), ...large(stopped).map(({ key }) => key)]
    assert.deepEqual((await again.list('')).items.map(({ key }) => key), expected.sort())
    await again[Symbol.asyncDispose]()
  },
  async synced(dir: string) {
    await using store = await open(dir)
    for (let at = 0; at < 50; at++) await store.commit([put('a', at)])
  },
  /** Under a limit on the size of files: a write that fails in another way than for want of space. */
  async broken(dir: string) {
    const store = await open(dir)
    const watched = take(store.watch('none', 0), 1)
    const stopped = await untilRefused(store, 'failed').catch(async () => Infinity)
    assert.equal(stopped, Infinity, 'the store does not answer the list after it broke')
    for (const call of [store.get('a'), store.list(''), store.commit([put('a', 1)])]) assert.match((await refusal('failed', call)).message, /the disk reported an error/)
    assert.deepEqual(await watched, [])
    await store[Symbol.asyncDispose]()
  },
}

if (argv[2] !== undefined && argv[2] in parts) await parts[argv[2] as keyof typeof parts](argv[3]!)
else {
  const emptyDir = (t: TestContext) => {
    const dir = mkdtempSync('/tmp/tt-store-disk-')
    t.after(() => rmSync(dir, { recursive: true }))
    return dir
  }

  it('refuses what a full disk has no room for, is not harmed, and goes on when there is room', async (t) => {
    if (!(await isHere(['unshare', '--mount', 'true']))) return t.skip('a mount namespace needs root')
    await apart('full', emptyDir(t), ['unshare', '--mount'])
  })

  it('waits for the disk before it answers', async (t) => {
    if (!(await isHere(['strace', '-V']))) return t.skip('strace is not installed')
    const dir = emptyDir(t)
    await apart('synced', dir, ['strace', '-f', '-o', `${dir}/trace`, '-e', 'trace=fdatasync,fsync'])
    const syncs = readFileSync(`${dir}/trace`, 'utf8').split('sync(').length - 1
    assert.ok(syncs >= 50, `${syncs} syncs for 50 commits, one after another`)
  })

  it('stops for good when the disk fails, and then has all that it acknowledged', async (t) => {
    const dir = emptyDir(t)
    await apart('broken', dir, ['prlimit', '--fsize=300000', '--'])
    await using store = await open(dir)
    const { items, revision } = await store.list('')
    assert.ok(revision > 3)
    const names = new Set(items.map(({ key }) => key.split('/').slice(0, 2).join('/')))
    for (const name of names) if (name.startsWith('large/')) assert.equal(items.filter(({ key }) => key.startsWith(`${name}/`)).length, 2)
  })
}
