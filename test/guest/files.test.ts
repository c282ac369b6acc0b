import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, describe, it } from 'node:test'
import { sha256 } from '../../src/base/sha256.ts'
import { filesContract } from '../../src/drivers/channel/files.contract.ts'
import { fetched, isCode, iterate, newFile, noise, put } from '../../src/drivers/channel/files-ground.ts'
import type { GuestFiles } from '../../src/drivers/channel/channel.ts'
import { followed } from '../../src/host/transfer-get.ts'
import { calledAgent } from './local-agent.ts'

filesContract({
  name: 'rexec to the real agent',
  make: async () => {
    const called = await calledAgent('sanitized')
    return { ...called, dir: called.agent.dir }
  },
})

describe('files of the agent, seen from the guest', () => {
  let called: Awaited<ReturnType<typeof calledAgent>>
  let files: GuestFiles
  let made = 0
  before(async () => {
    called = await calledAgent('sanitized')
    await called.channel.ready({ signal: AbortSignal.timeout(20_000) })
    assert.ok(called.channel.files)
    files = called.channel.files
  })
  after(() => called[Symbol.asyncDispose]())
  /** The agent's user may do there what it likes, and so may we. */
  const fresh = (): string => {
    const dir = join(called.agent.dir, `own-${++made}`)
    mkdirSync(dir)
    execFileSync('chmod', ['777', dir])
    return dir
  }
  const workers = () => readFileSync(`/proc/${called.agent.process.pid}/task/${called.agent.process.pid}/children`, 'utf8').split(' ').filter(Boolean)
  const noWorkers = async () => {
    for (let n = 0; n < 200 && workers().length > 0; n++) await sleep(10)
    assert.deepEqual(workers(), [])
  }
  /** As the agent calls what is not whole yet. */
  const partOf = (name: string, bytes: Buffer) => `.tt-part-${createHash('sha256').update(Buffer.from(sha256(bytes), 'hex')).update(name).digest('hex').slice(0, 32)}`

  describe('what is no file', () => {
    it('does not hang: neither pipes nor devices are opened', async () => {
      const dir = fresh()
      execFileSync('mkfifo', ['-m', '666', join(dir, 'fifo')])
      for (const path of [join(dir, 'fifo'), '/dev/zero', '/dev/null']) {
        await assert.rejects(fetched(files, path), isCode('invalid'))
        await assert.rejects(files.digest(path), isCode('invalid'))
        await assert.rejects(files.stat(path), isCode('invalid'))
        await assert.rejects(files.offer(path, newFile(noise(3))), isCode('exists'))
      }
      writeFileSync(join(dir, 'file'), 'x')
      assert.deepEqual((await Array.fromAsync(files.list(dir))).map(({ path }) => path), ['file'])
      await put(files, join(dir, 'fifo'), noise(3), 0o600, true)
      assert.equal((await files.stat(join(dir, 'fifo')))?.type, 'file')
    })
    it('files of /proc and /sys are read to their end, whatever size they say', async () => {
      assert.equal((await fetched(files, '/proc/version')).bytes.toString(), readFileSync('/proc/version', 'utf8'))
      assert.equal((await fetched(files, '/sys/kernel/mm/transparent_hugepage/enabled')).bytes.toString(), readFileSync('/sys/kernel/mm/transparent_hugepage/enabled', 'utf8'))
    })
    it('a name that is not UTF-8 is refused and named', async () => {
      const dir = fresh()
      writeFileSync(Buffer.concat([Buffer.from(`${dir}/`), Buffer.of(0x66, 0xff, 0x66)]), 'x')
      await assert.rejects(Array.fromAsync(files.list(dir)), (error) => isCode('unsupported')(error) && /"fÿf"/.test((error as Error).message))
    })
    it('what the agent may not do is denied', async (t) => {
      if (process.getuid?.() !== 0) return t.skip('only root can make what another user may not touch')
      const dir = join(called.agent.dir, 'roots')
      mkdirSync(dir, { mode: 0o755 })
      writeFileSync(join(dir, 'secret'), 'x', { mode: 0o600 })
      await assert.rejects(fetched(files, join(dir, 'secret')), isCode('denied'))
      await assert.rejects(put(files, join(dir, 'f'), noise(10)), isCode('denied'))
      await assert.rejects(files.makeDirectory(join(dir, 'd'), 0o755), isCode('denied'))
      await assert.rejects(files.makeDirectory(dir, 0o777), isCode('denied'))
      await assert.rejects(files.makeLink(join(dir, 'l'), { target: 'x' }), isCode('denied'))
    })
  })

  describe('a link that is fetched', () => {
    const led = async (path: string) => (await fetched(files, (await followed(files, path, AbortSignal.timeout(10_000))).path)).bytes.toString()
    it('leads where the guest would go, also from below a linked directory', async () => {
      const dir = fresh()
      mkdirSync(join(dir, 'real/deep'), { recursive: true })
      for (const [path, text] of [['data', 'wrong'], ['real/data', 'right'], ['real/deep/data', 'deep']] as const) writeFileSync(join(dir, path), text)
      const links = { short: 'real/deep', 'real/deep/up': '../data', 'real/deep/again': '../../short/up', 'real/deep/whole': join(dir, 'short/again'), 'real/deep/slashes': './/..///data', 'real/deep/same': 'data' }
      for (const [name, target] of Object.entries(links)) symlinkSync(target, join(dir, name))
      for (const path of ['short/up', 'short/again', 'short/whole', 'short/slashes', 'short/../data', 'short/same']) assert.equal(await led(`${dir}/${path}`), readFileSync(`${dir}/${path}`, 'utf8'), path)
      assert.equal(await led(`${dir}/short/up`), 'right')
      symlinkSync('../real/', join(dir, 'real/deep/directory'))
      symlinkSync('../data/', join(dir, 'real/deep/no-directory'))
      symlinkSync('../none', join(dir, 'real/deep/dangling'))
      // What `..` means is seen by the system only; a join would work it out by itself.
      assert.equal((await followed(files, `${dir}/short/../deep`, AbortSignal.timeout(10_000))).entry.type, 'directory')
      for (const name of ['directory', 'no-directory', 'dangling']) await assert.rejects(followed(files, `${dir}/short/${name}`, AbortSignal.timeout(10_000)), isCode('not_found'), name)
    })
    it('is followed as often as Linux does it, and not without an end', async () => {
      const dir = fresh()
      writeFileSync(join(dir, 'link-0'), 'the end')
      for (let n = 1; n <= 41; n++) symlinkSync(`link-${n - 1}`, join(dir, `link-${n}`))
      symlinkSync('round', join(dir, 'round'))
      assert.equal(await led(join(dir, 'link-40')), 'the end')
      for (const name of ['link-41', 'round']) await assert.rejects(led(join(dir, name)), isCode('failed'))
    })
  })

  describe('a file that changes while it is read', () => {
    it('grows: what was there at the start is read', async () => {
      const path = join(fresh(), 'log')
      const bytes = noise(1_000_000)
      writeFileSync(path, bytes)
      const heard: Buffer[] = []
      const { sha256: said } = await files.read(path, {
        output: (piece) => {
          appendFileSync(path, piece)
          heard.push(Buffer.from(piece))
        },
      })
      assert.ok(Buffer.concat(heard).equals(bytes))
      assert.equal(said, sha256(bytes))
    })
    it('shrinks: that is failed', async () => {
      const path = join(fresh(), 'shrinking')
      writeFileSync(path, noise(5_000_000))
      await assert.rejects(files.read(path, { output: () => truncateSync(path, 1000) }), isCode('failed'))
    })
  })

  describe('parts', () => {
    const bytes = noise(2_000_000)
    const broken = (path: string, file = newFile(bytes)) =>
      assert.rejects(
        files.write(path, { ...file, offset: 0 }, (async function* () {
          yield bytes.subarray(0, 1_500_000)
          throw new Error('no more')
        })()),
        /no more/,
      )
    it('are nobody else’s to read, and not listed', async () => {
      const dir = fresh()
      await broken(join(dir, 'f'))
      const [part = '', ...more] = readdirSync(dir)
      assert.deepEqual([part, more], [partOf('f', bytes), []])
      assert.equal(statSync(join(dir, part)).mode & 0o7777, 0o600)
      assert.deepEqual(await Array.fromAsync(files.list(dir)), [])
    })
    it('fault 39: are removed after a day, when something is written beside them', async () => {
      const dir = fresh()
      const names = ['.tt-part-old', '.tt-part-young', '.other-old']
      const old = new Date(Date.now() - 25 * 3_600_000)
      for (const name of names) {
        writeFileSync(join(dir, name), 'x')
        if (name.endsWith('old')) utimesSync(join(dir, name), old, old)
      }
      symlinkSync('nowhere', join(dir, '.tt-part-link'))
      execFileSync('touch', ['-h', '-d', '2 days ago', join(dir, '.tt-part-link')])
      await put(files, join(dir, 'f'), noise(10))
      assert.deepEqual(readdirSync(dir).sort(), ['.other-old', '.tt-part-young', 'f'])
    })
    it('of somebody else are not written to', async () => {
      const dir = fresh()
      const kept = join(dir, 'kept')
      writeFileSync(kept, 'kept', { mode: 0o666 })
      symlinkSync('kept', join(dir, partOf('f', bytes)))
      await put(files, join(dir, 'f'), bytes)
      writeFileSync(join(dir, partOf('g', bytes)), Buffer.alloc(5), { mode: 0o666 })
      const offset = await files.offer(join(dir, 'g'), newFile(bytes))
      if (offset > 0) await assert.rejects(files.write(join(dir, 'g'), { ...newFile(bytes), offset }, iterate([bytes.subarray(offset)])), isCode('conflict'))
      await put(files, join(dir, 'g'), bytes)
      assert.equal(readFileSync(kept, 'utf8'), 'kept')
      assert.deepEqual([...readdirSync(dir)].sort(), ['f', 'g', 'kept'])
    })
    it('of one that is whole but for its name wants only its end', async () => {
      const dir = fresh()
      await broken(join(dir, 'f'))
      writeFileSync(join(dir, partOf('f', bytes)), bytes)
      const offset = await files.offer(join(dir, 'f'), newFile(bytes))
      assert.equal(offset, bytes.length - 1)
      await files.write(join(dir, 'f'), { ...newFile(bytes), offset }, iterate([bytes.subarray(offset)]))
      assert.ok(readFileSync(join(dir, 'f')).equals(bytes))
    })
    it('that hold more than the file are cut', async () => {
      const dir = fresh()
      await broken(join(dir, 'f'))
      truncateSync(join(dir, partOf('f', bytes)), bytes.length + 1)
      await put(files, join(dir, 'f'), bytes)
      assert.ok(readFileSync(join(dir, 'f')).equals(bytes))
    })
    it('less of it than was said is a conflict', async () => {
      const path = join(fresh(), 'f')
      await broken(path)
      await assert.rejects(files.write(path, { ...newFile(bytes), offset: 1_900_000 }, iterate([bytes.subarray(1_900_000)])), isCode('conflict'))
    })
    it('two who write the same at the same time come to the same end', async () => {
      const path = join(fresh(), 'f')
      const write = () => files.write(path, { ...newFile(bytes), offset: 0 }, iterate([bytes]))
      await Promise.all([write(), write(), write()])
      assert.ok(readFileSync(path).equals(bytes))
      assert.deepEqual(readdirSync(join(path, '..')), ['f'])
    })
    it('two who write something else at the same time: one is first, the other is told', async () => {
      const path = join(fresh(), 'f')
      const both = [noise(1_000_000), noise(1_000_001)]
      const ends = await Promise.allSettled(both.map((one) => files.write(path, { ...newFile(one), offset: 0 }, iterate([one]))))
      const first = ends.findIndex(({ status }) => status === 'fulfilled')
      const other = ends[1 - first]
      assert.ok(other?.status === 'rejected' && isCode('exists')(other.reason))
      assert.ok(readFileSync(path).equals(both[first] as Buffer))
      assert.deepEqual(readdirSync(join(path, '..')), ['f'])
    })
  })

  describe('work in the guest', () => {
    /** Takes minutes to hash, and no space. */
    const huge = (): string => {
      const path = join(fresh(), 'huge')
      writeFileSync(path, '')
      truncateSync(path, 1e12)
      return path
    }
    it('does not hold up others', async () => {
      const calls = new AbortController()
      const digest = assert.rejects(files.digest(huge(), {}, { signal: calls.signal }), isCode('cancelled'))
      const started = performance.now()
      for (let n = 0; n < 20; n++) await called.channel.ping({ signal: AbortSignal.timeout(10_000) })
      assert.ok(performance.now() - started < 5000)
      calls.abort()
      await digest
    })
    it('ends when the call is aborted, before that rejects', async () => {
      const calls = new AbortController()
      const digest = files.digest(huge(), {}, { signal: calls.signal })
      for (let n = 0; n < 200 && workers().length === 0; n++) await sleep(10)
      assert.equal(workers().length, 1)
      calls.abort()
      await assert.rejects(digest, isCode('cancelled'))
      assert.deepEqual(workers(), [])
    })
    it('ends when the host goes', async () => {
      const digest = assert.rejects(files.digest(huge()), isCode('unavailable'))
      for (let n = 0; n < 200 && workers().length === 0; n++) await sleep(10)
      await called.interrupt?.()
      await digest
      await called.channel.ready({ signal: AbortSignal.timeout(20_000) })
      await noWorkers()
    })
    it('a list that nobody reads to its end is given up', async () => {
      const dir = fresh()
      for (let n = 0; n < 20_000; n++) symlinkSync('x'.repeat(60), join(dir, `${n}-${'y'.repeat(60)}`))
      for await (const { type } of files.list(dir)) {
        assert.equal(type, 'link')
        await sleep(50)
        break
      }
      assert.deepEqual(workers(), [])
      let count = 0
      for await (const _ of files.list(dir)) count++
      assert.equal(count, 20_000)
    })
    it('many at once leave nothing behind', async () => {
      const dir = fresh()
      const all = Array.from({ length: 60 }, (_, n) => noise(n * 1000))
      await Promise.all(all.map((one, n) => put(files, join(dir, `${n}`), one)))
      all.forEach((one, n) => assert.ok(readFileSync(join(dir, `${n}`)).equals(one)))
      assert.equal(readdirSync(dir).length, 60)
      await noWorkers()
      assert.ok(existsSync(dir))
    })
  })
})

describe('files of the agent, on a disk that is full', () => {
  it('are exhausted: at once if that can be told, and nothing is left of them', async (t) => {
    if (process.getuid?.() !== 0) return t.skip('only root can mount a small disk')
    // A mount namespace of its own: the disk goes with the agent.
    const mount = 'mkdir small && mount -t tmpfs -o size=4m none small && exec "$@"'
    await using called = await calledAgent('sanitized', { asRoot: true, launcher: () => ['unshare', '-m', 'sh', '-c', mount, 'sh'] })
    const { files } = called.channel
    assert.ok(files)
    const dir = join(called.agent.dir, 'small')
    const large = noise(5_000_000)
    await called.channel.ready({ signal: AbortSignal.timeout(20_000) })
    let asked = 0
    const source = async function* () {
      for (let at = 0; at < large.length; at += 100_000) {
        asked += 100_000
        yield large.subarray(at, at + 100_000)
      }
    }
    await assert.rejects(files.write(`${dir}/f`, { ...newFile(large), offset: 0 }, source()), isCode('exhausted'))
    assert.ok(asked < large.length, `${asked} bytes were asked for`)
    // Each fits, but not all of them, which shows only in the middle.
    const some = Array.from({ length: 4 }, (_, n) => noise(1_500_000 + n))
    const held = Promise.withResolvers<void>()
    let begun = 0
    const slowly = async function* (bytes: Buffer) {
      yield bytes.subarray(0, 300_000)
      if (++begun === some.length) held.resolve()
      await held.promise
      yield bytes.subarray(300_000)
    }
    const ends = await Promise.allSettled(some.map((bytes, n) => files.write(`${dir}/${n}`, { ...newFile(bytes), offset: 0 }, slowly(bytes))))
    const refused = ends.filter((end) => end.status === 'rejected')
    assert.ok(refused.length > 0 && refused.every(({ reason }) => isCode('exhausted')(reason)), JSON.stringify(ends))
    const written = await Array.fromAsync(files.list(dir))
    assert.equal(written.length, some.length - refused.length)
    let parts = ''
    await called.channel.exec({ shell: `ls -A ${dir} | grep -c tt-part` }, { output: (_, bytes) => void (parts += Buffer.from(bytes).toString()) })
    assert.equal(parts, '0\n')
  })
})
