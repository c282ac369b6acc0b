import assert from 'node:assert/strict'
import { chmodSync, chownSync, closeSync, constants, existsSync, linkSync, lstatSync, mkdirSync, openSync, readdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, test } from 'node:test'
import { realWorld } from '../../../base/world.ts'
import type { GuestFiles } from '../channel.ts'
import { isCode, iterate, listed, newFile, noise, put } from '../files-ground.ts'
import { partOf, parts } from './file-parts.ts'
import type { Sftp } from './sftp.ts'
import { ssh } from './ssh.ts'
import { noSshd, sshdGround } from './sshd-ground.ts'

const nobody = 65534
const bytes = noise(200_000)
const file = newFile(bytes, 0o644)

test('a part has the name that the agent gives it', () => {
  const name = partOf('/a/b/name', { sha256: '2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae' })
  assert.equal(name, '/a/b/.tt-part-9ef4f8caa57555b9f490ac09653c625f')
})

test('a part is made where nothing is, though somebody puts something there again and again', async () => {
  const failure = Object.assign(new Error('Failure'), { code: 4 })
  const ways: string[] = []
  let planted = 2
  const sftp = {
    unlink: async () => undefined,
    lstat: async () => ({}),
    open: async (_: string, how: string) => (ways.push(how), planted-- > 0 ? Promise.reject(failure) : Buffer.from('handle')),
  } as unknown as Sftp
  const unfinished = parts({ world: realWorld, run: () => Promise.reject(new Error('nothing to run')) })
  assert.equal((await unfinished.fresh(sftp, '/d/.tt-part-x')).toString(), 'handle')
  assert.deepEqual(ways, ['wx', 'wx', 'wx'])
  planted = Infinity
  await assert.rejects(unfinished.fresh(sftp, '/d/.tt-part-x'), isCode('denied'))
})

if (noSshd !== false) test('parts over ssh', { skip: noSshd }, () => undefined)
else describe('parts over ssh', () => cases())

async function ground() {
  const own = await sshdGround()
  const dir = join(own.dir, 'shared')
  mkdirSync(dir)
  chmodSync(dir, 0o1777) // As /tmp is.
  const path = join(dir, 'f')
  const channel = ssh(own.guest)
  return {
    dir,
    path,
    part: partOf(path, file),
    files: channel.files as GuestFiles,
    /** A file of root's in another place. */
    secret(mode = 0o600) {
      const at = join(own.dir, 'secret')
      writeFileSync(at, bytes.subarray(0, 1000), { mode })
      return { at, isUnchanged: () => readFileSync(at).equals(bytes.subarray(0, 1000)) && (lstatSync(at).mode & 0o7777) === mode }
    },
    async [Symbol.asyncDispose]() {
      await channel[Symbol.asyncDispose]()
      await own[Symbol.asyncDispose]()
    },
  }
}

/** The file is there, and nothing beside it. */
function isWhole(dir: string, path: string): void {
  assert.ok(lstatSync(path).isFile())
  assert.equal(lstatSync(path).uid, 0)
  assert.ok(readFileSync(path).equals(bytes))
  assert.deepEqual(readdirSync(dir), ['f'])
}

function cases() {
  it('a link that somebody has put in its place is not followed', async () => {
    await using own = await ground()
    const secret = own.secret()
    symlinkSync(secret.at, own.part)
    assert.equal(await own.files.offer(own.path, file), 0)
    await assert.rejects(own.files.write(own.path, { ...file, offset: 500 }, iterate([bytes.subarray(500)])), isCode('failed'))
    assert.equal(existsSync(own.part), false)
    symlinkSync(secret.at, own.part)
    await own.files.write(own.path, { ...file, offset: 0 }, iterate([bytes]))
    assert.ok(secret.isUnchanged())
    isWhole(own.dir, own.path)
  })
  it('nor one that leads to where nothing is', async () => {
    await using own = await ground()
    symlinkSync(join(own.dir, '../planted'), own.part)
    await put(own.files, own.path, bytes)
    assert.equal(existsSync(join(own.dir, '../planted')), false)
    isWhole(own.dir, own.path)
  })
  it('a second name of a file of root is not written through', async () => {
    await using own = await ground()
    const secret = own.secret()
    linkSync(secret.at, own.part)
    assert.equal(await own.files.offer(own.path, file), 0)
    await assert.rejects(own.files.write(own.path, { ...file, offset: 500 }, iterate([bytes.subarray(500)])), isCode('failed'))
    linkSync(secret.at, own.part)
    await own.files.write(own.path, { ...file, offset: 0 }, iterate([bytes]))
    assert.ok(secret.isUnchanged())
    isWhole(own.dir, own.path)
  })
  for (const [what, plant] of Object.entries({
    "somebody else's": (part: string) => chownSync(part, nobody, nobody),
    'one that others may read': (part: string) => chmodSync(part, 0o644),
    'one that others may write': (part: string) => chmodSync(part, 0o606),
  }))
    it(`${what} does not count, and is made anew`, async () => {
      await using own = await ground()
      writeFileSync(own.part, bytes.subarray(0, 1000), { mode: 0o600 })
      assert.equal(await own.files.offer(own.path, file), 1000)
      plant(own.part)
      const { ino } = lstatSync(own.part)
      // While it is open nobody else is given its inode. O_PATH: a pipe is not waited for.
      const held = openSync(own.part, 0o10000000 | constants.O_NOFOLLOW)
      assert.equal(await own.files.offer(own.path, file), 0)
      await assert.rejects(own.files.write(own.path, { ...file, offset: 1000 }, iterate([bytes.subarray(1000)])), isCode('failed'))
      assert.equal(existsSync(own.part), false)
      writeFileSync(own.part, 'held', { mode: 0o600 })
      plant(own.part)
      linkSync(own.part, `${own.path}-held`) // So that its inode is not given out again.
      await own.files.write(own.path, { ...file, offset: 0 }, iterate([bytes]))
      assert.notEqual(lstatSync(own.path).ino, ino)
      closeSync(held)
      assert.equal(readFileSync(`${own.path}-held`, 'utf8'), 'held')
      assert.ok(readFileSync(own.path).equals(bytes))
    })
  it('a directory in its place is refused, and stays', async () => {
    await using own = await ground()
    mkdirSync(own.part)
    await assert.rejects(own.files.write(own.path, { ...file, offset: 0 }, iterate([bytes])), isCode('denied'))
    assert.ok(lstatSync(own.part).isDirectory())
    assert.equal(existsSync(own.path), false)
  })
  it('is only for root until it is whole', async () => {
    await using own = await ground()
    const modes: number[] = []
    const watched = async function* () {
      for (const piece of [bytes.subarray(0, 100_000), bytes.subarray(100_000)]) {
        yield piece
        modes.push(lstatSync(own.part).mode & 0o7777)
      }
    }
    await own.files.write(own.path, { ...file, offset: 0 }, watched())
    assert.deepEqual(modes, [0o600, 0o600])
    isWhole(own.dir, own.path)
  })
  it('that is whole and has no name is no file yet: it gets it', async () => {
    await using own = await ground()
    writeFileSync(own.part, bytes, { mode: 0o600 })
    const offset = await own.files.offer(own.path, file)
    assert.equal(offset, bytes.length - 1)
    await own.files.write(own.path, { ...file, offset }, iterate([bytes.subarray(offset)]))
    isWhole(own.dir, own.path)
  })
  it('too few bytes stay for the next time, too many do not', async () => {
    await using own = await ground()
    await assert.rejects(own.files.write(own.path, { ...file, offset: 0 }, iterate([bytes.subarray(0, 70_000)])), isCode('failed'))
    assert.equal(await own.files.offer(own.path, file), 70_000)
    await assert.rejects(own.files.write(own.path, { ...file, offset: 70_000 }, iterate([bytes])), isCode('failed'))
    assert.deepEqual(readdirSync(own.dir), [])
  })
  it('is not shown, and old ones beside it are cleared, once in a while', async () => {
    await using own = await ground()
    const old = new Date(Date.now() - 25 * 3600 * 1000)
    const make = (name: string, time?: Date) => {
      writeFileSync(join(own.dir, name), 'x')
      if (time) utimesSync(join(own.dir, name), time, time)
    }
    make('.tt-part-old', old)
    make('.tt-part-new')
    make('.tt-other', old)
    mkdirSync(join(own.dir, '.tt-part-dir'))
    utimesSync(join(own.dir, '.tt-part-dir'), old, old)
    assert.deepEqual((await listed(own.files, own.dir)).map(({ path }) => path), ['.tt-other'])
    await put(own.files, own.path, bytes)
    assert.deepEqual(readdirSync(own.dir).toSorted(), ['.tt-other', '.tt-part-dir', '.tt-part-new', 'f'])
    make('.tt-part-old', old)
    await put(own.files, `${own.path}2`, bytes)
    assert.ok(existsSync(join(own.dir, '.tt-part-old')), 'it was looked at just now')
  })
  it('two who write the same file at once do not meet', async () => {
    await using own = await ground()
    const { promise: halfway, resolve: tell } = Promise.withResolvers<void>()
    const { promise: go, resolve: release } = Promise.withResolvers<void>()
    const slow = async function* () {
      yield bytes.subarray(0, 100_000)
      tell()
      await go
      yield bytes.subarray(100_000)
    }
    const first = own.files.write(own.path, { ...file, offset: 0 }, slow())
    await halfway
    const second = own.files.write(own.path, { ...file, offset: 0 }, iterate([bytes]))
    const calls = new AbortController()
    const third = own.files.write(own.path, { ...file, offset: 0 }, iterate([bytes]), { signal: calls.signal })
    setTimeout(() => calls.abort(), 100)
    await assert.rejects(third, isCode('cancelled'))
    release()
    await Promise.all([first, second])
    isWhole(own.dir, own.path)
  })
}
