import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { TtError } from '../../model/errors.ts'
import type { Disk } from '../../model/plan.ts'
import { casesOf, type Contents, type It, mortal, qcow2Head, refused, type VolumeSubject } from './ground.ts'

const MiB = 1 << 20

/** Proves that a volume driver keeps its contract. Awaited at the top of its test file; a driver that is not usable here is skipped with the probe's reason. Growth and keeping have suites of their own. */
export async function volumeContract(subject: VolumeSubject): Promise<void> {
  const cases = await casesOf(subject, 'volume', { test })
  if (!cases) return
  const { it, skip } = cases
  it('the probe names a version, may be repeated and leaves nothing', async (on) => {
    const volumes = await on.driver()
    const probe = await volumes.probe()
    assert(probe.usable)
    assert.match(probe.version, /\S/)
    assert.deepEqual(await Promise.all([volumes.probe(), volumes.probe()]), [probe, probe])
    assert.deepEqual(readdirSync(on.dir), [])
    assert.equal(volumes.clone !== undefined, volumes.features.clone)
    assert.equal(volumes.snapshot !== undefined && volumes.rollback !== undefined, volumes.features.snapshot)
  })
  verbs(it)
  refusals(it)
  crashes(it)
  if (!subject.contents) return skip('contents, owners and bases that lie', 'the driver keeps no bytes')
  contents(it, subject.contents)
  liars(it)
  if (process.getuid?.() === 0) owners(it)
  else skip('owners', 'only root can give files away')
}

function verbs(it: It) {
  it('[H11] a volume is made, found, listed, and goes without a trace', async (on) => {
    const volumes = await on.driver()
    assert.deepEqual(await volumes.list(), [])
    await refused(volumes.attach('env.0'), 'not_found')
    await volumes.destroy('env.0')

    await volumes.create('env.0', { sizeBytes: 8 * MiB })
    await volumes.create('env.1', { base: await on.base(), sizeBytes: 8 * MiB })
    assert.deepEqual((await volumes.list()).toSorted(), ['env.0', 'env.1'])
    const disk = await volumes.attach('env.0')
    assert.equal(disk.sizeBytes, 8 * MiB)
    assert.equal(disk.format, volumes.features.format)
    assert.notEqual(disk.readOnly, true)
    assert(disk.path.startsWith(`${on.dir}/`))
    assert.notEqual((await volumes.attach('env.1')).path, disk.path)
    assert.deepEqual(await volumes.attach('env.0'), disk, 'attach may be repeated')

    await volumes.destroy('env.0')
    await volumes.destroy('env.0')
    await refused(volumes.attach('env.0'), 'not_found')
    assert.deepEqual(await volumes.list(), ['env.1'])
    await volumes.destroy('env.1')
    assert.deepEqual(readdirSync(on.dir), [])
  })

  it('a new server finds what the old one made', async (on) => {
    const old = await on.driver()
    await Promise.all([old.create('env.0', { sizeBytes: MiB }), old.create('env.1', { sizeBytes: 3 * MiB }), old.create('gone.0', { sizeBytes: MiB })])
    await old.destroy('gone.0')
    const disk = await old.attach('env.1')
    await old[Symbol.asyncDispose]()
    const volumes = await on.driver()
    assert.deepEqual((await volumes.list()).toSorted(), ['env.0', 'env.1'])
    assert.deepEqual(await volumes.attach('env.1'), disk)
    await Promise.all([volumes.destroy('env.0'), volumes.destroy('env.1')])
  })

  it('a repeated create changes neither size nor place', async (on) => {
    const volumes = await on.driver()
    await volumes.create('env.0', { sizeBytes: 5 * MiB })
    const disk = await volumes.attach('env.0')
    await volumes.create('env.0', { sizeBytes: 5 * MiB, base: await on.base() })
    assert.deepEqual(await volumes.attach('env.0'), disk)
    await volumes.destroy('env.0')
  })

  it('many at once, the same one too', async (on) => {
    const volumes = await on.driver()
    const base = await on.base()
    const ids = Array.from({ length: 40 }, (_, index) => `env.${index}`)
    await Promise.all([...ids, ...ids].map((id) => volumes.create(id, { base, sizeBytes: 8 * MiB })))
    assert.deepEqual((await volumes.list()).toSorted(), ids.toSorted())
    await Promise.all([...ids, ...ids].map((id) => volumes.destroy(id)))
    assert.deepEqual(await volumes.list(), [])
    assert.deepEqual(readdirSync(on.dir), [])
  })

  it('[H10] neither time nor room to make one depends on its size', async (on) => {
    const volumes = await on.driver()
    const times: Record<'small' | 'large', number[]> = { small: [], large: [] }
    // In turn, so that whatever else the machine does is done to both.
    for (let n = 0; n < 9; n++) {
      for (const [name, sizeBytes] of [['small', MiB], ['large', 2 ** 40]] as const) {
        const start = performance.now()
        await volumes.create(`${name}.${n}`, { sizeBytes })
        times[name].push(performance.now() - start)
      }
    }
    const [small = 0, large = 0] = [times.small, times.large].map((all) => all.toSorted((a, b) => a - b)[4])
    assert(large < 10 * small + 20, `1 MiB: ${small} ms, 1 TiB: ${large} ms`)
    assert.equal((await volumes.attach('large.0')).sizeBytes, 2 ** 40)
    const usedBytes = readdirSync(on.dir).reduce((sum, name) => sum + statSync(join(on.dir, name)).blocks * 512, 0)
    assert(usedBytes < 18 * 256 * 1024, `18 empty volumes take ${usedBytes} bytes`)
    await Promise.all((await volumes.list()).map((id) => volumes.destroy(id)))
  })
}

function refusals(it: It) {
  it('a size that is none, or smaller than the base, is refused and leaves nothing', async (on) => {
    const volumes = await on.driver()
    for (const sizeBytes of [0, -1, 1.5, NaN, Infinity, 2 ** 60]) await refused(volumes.create('env.0', { sizeBytes }), 'invalid')
    const base = await on.base()
    await refused(volumes.create('env.0', { base, sizeBytes: base.sizeBytes - 512 }), 'invalid')
    assert.deepEqual(await volumes.list(), [])
    assert.deepEqual(readdirSync(on.dir), [])
    await volumes.create('env.0', { base, sizeBytes: base.sizeBytes })
    assert.equal((await volumes.attach('env.0')).sizeBytes, base.sizeBytes)
    await volumes.create('env.1', { sizeBytes: 1000 })
    assert.equal((await volumes.attach('env.1')).sizeBytes, 1024, 'a disk has whole sectors')
    await Promise.all([volumes.destroy('env.0'), volumes.destroy('env.1')])
  })

  it('an id that leads elsewhere is refused by every verb', async (on) => {
    const volumes = await on.driver()
    mkdirSync(join(on.root, 'elsewhere'))
    const everything = () => readdirSync(on.root, { recursive: true, encoding: 'utf8' }).toSorted()
    const before = everything()
    for (const id of ['', '.', '..', '../elsewhere/x', 'a/b', '/etc/passwd', 'a\0b', '-x', 'é', 'x'.repeat(300)]) {
      await refused(volumes.create(id, { sizeBytes: MiB }), 'invalid')
      await refused(volumes.attach(id), 'invalid', 'not_found')
      await volumes.destroy(id).catch((fault: unknown) => assert(fault instanceof TtError && fault.code === 'invalid'))
    }
    assert.deepEqual(everything(), before)
  })

  it('a call that was given up rejects and leaves no half volume', async (on) => {
    const volumes = await on.driver()
    await assert.rejects(volumes.create('env.0', { sizeBytes: MiB }, { signal: AbortSignal.abort() }))
    assert.deepEqual(await volumes.list(), [])
    assert.deepEqual(readdirSync(on.dir), [])
  })
}

function crashes(it: It) {
  for (const verb of ['create', 'destroy'] as const)
    it(`a server that dies at any effect of ${verb} leaves a whole volume or none`, async (on) => {
      const base = await on.base()
      for (let at = 1, over = false; !over; at++) {
        for (const side of ['before', 'after'] as const) {
          const fate = mortal(at, side)
          const doomed = await on.driver(fate.effects)
          if (verb === 'destroy') await doomed.create('env.0', { base, sizeBytes: 8 * MiB })
          fate.armed = true
          const done = verb === 'create' ? doomed.create('env.0', { base, sizeBytes: 8 * MiB }) : doomed.destroy('env.0')
          await done.catch((fault: unknown) => fate.dead || Promise.reject(fault))
          over = !fate.dead
          await doomed[Symbol.asyncDispose]()

          const volumes = await on.driver()
          const [found] = await volumes.list()
          if (found !== undefined) assert.equal((await volumes.attach(found)).sizeBytes, 8 * MiB)
          else assert.deepEqual(readdirSync(on.dir), [], `a death ${side} effect ${at} left something`)
          await volumes.create('env.0', { base, sizeBytes: 8 * MiB })
          assert.deepEqual(await volumes.list(), ['env.0'])
          await volumes.destroy('env.0')
          assert.deepEqual(readdirSync(on.dir), [], `something is left by a death ${side} effect ${at}`)
          await volumes[Symbol.asyncDispose]()
        }
        assert(!over || at > 1, `${verb} does not use its door to the machine`)
      }
    })
}

function contents(it: It, { read, write }: Contents) {
  it('an empty volume reads as zeros and keeps what is written, to its last byte', async (on) => {
    const volumes = await on.driver()
    await volumes.create('env.0', { sizeBytes: 8 * MiB })
    const disk = await volumes.attach('env.0')
    for (const offset of [0, 3 * MiB, 8 * MiB - 4096]) assert.deepEqual(await read(disk, offset, 4096), Buffer.alloc(4096))
    for (const offset of [0, 8 * MiB - 4096]) await write(disk, offset, noise(offset))
    for (const offset of [0, 8 * MiB - 4096]) assert.deepEqual(await read(disk, offset, 4096), noise(offset))
    await volumes.destroy('env.0')
    await volumes.create('env.0', { sizeBytes: 8 * MiB })
    assert.deepEqual(await read(disk, 0, 4096), Buffer.alloc(4096), 'nothing of a destroyed volume comes back')
    await volumes.destroy('env.0')
  })

  it('[H10] a volume begins as its base, grows beyond it, and is nobody else’s', async (on) => {
    const volumes = await on.driver()
    const base = await on.base()
    const last = base.sizeBytes - 4096
    for (const id of ['env.0', 'env.1']) await volumes.create(id, { base, sizeBytes: 16 * MiB })
    const [one, two] = [await volumes.attach('env.0'), await volumes.attach('env.1')]
    for (const offset of [0, last]) {
      const original = await read(base, offset, 4096)
      assert.notDeepEqual(original, Buffer.alloc(4096), 'the subject’s base has to have something there')
      assert.deepEqual(await read(one, offset, 4096), original)
      await write(one, offset, noise(offset))
      assert.deepEqual(await read(one, offset, 4096), noise(offset))
      assert.deepEqual(await read(two, offset, 4096), original, 'a neighbour sees what was written')
    }
    assert.deepEqual(await read(one, base.sizeBytes, 4096), Buffer.alloc(4096))
    await write(one, 16 * MiB - 4096, noise(1))
    assert.deepEqual(await read(one, 16 * MiB - 4096, 4096), noise(1))
    await Promise.all([volumes.destroy('env.0'), volumes.destroy('env.1')])
  })

  it('a repeated create keeps what was written, also by a new server', async (on) => {
    const base = await on.base()
    const old = await on.driver()
    await old.create('env.0', { base, sizeBytes: 8 * MiB })
    await write(await old.attach('env.0'), 4096, noise(7))
    await old.create('env.0', { base, sizeBytes: 8 * MiB })
    await old[Symbol.asyncDispose]()
    const volumes = await on.driver()
    await volumes.create('env.0', { base, sizeBytes: 8 * MiB })
    assert.deepEqual(await read(await volumes.attach('env.0'), 4096, 4096), noise(7))
    await volumes.destroy('env.0')
  })

  it('a link to a base is followed once: it may lead elsewhere later', async (on) => {
    const volumes = await on.driver()
    const base = await on.base()
    const link = join(on.root, 'newest')
    symlinkSync(base.path, link)
    await volumes.create('env.0', { base: { ...base, path: link }, sizeBytes: 8 * MiB })
    rmSync(link)
    assert.deepEqual(await read(await volumes.attach('env.0'), 0, 4096), await read(base, 0, 4096))
    await volumes.destroy('env.0')
  })
}

function liars(it: It) {
  it('a base that is not there, or is no file, is refused and leaves nothing', async (on) => {
    const volumes = await on.driver()
    const base = await on.base()
    const from = (path: string) => volumes.create('env.0', { base: { ...base, path }, sizeBytes: 8 * MiB })
    await refused(from(join(on.root, 'missing')), 'not_found', 'invalid')
    await refused(from('relative'), 'invalid')
    await refused(from(on.root), 'invalid')
    const pipe = join(on.root, 'pipe')
    assert.equal(spawnSync('mkfifo', [pipe]).status, 0)
    await refused(from(pipe), 'invalid')
    assert.deepEqual(readdirSync(on.dir), [])
  })

  it('a base that is not what is said of it, or leads to another file, is refused and leaves nothing', async (on) => {
    const volumes = await on.driver()
    const path = join(on.root, 'liar')
    const from = (format: Disk['format'], bytes: Uint8Array) => {
      writeFileSync(path, bytes)
      return refused(volumes.create('env.0', { base: { path, format, sizeBytes: MiB }, sizeBytes: 8 * MiB }), 'invalid')
    }
    await from('qcow2', Buffer.alloc(MiB, 'x'))
    await from('raw', qcow2Head({}))
    await from('qcow2', qcow2Head({}).subarray(0, 60))
    await from('qcow2', qcow2Head({ version: 1 }))
    await from('qcow2', qcow2Head({ backing: '/etc/shadow' }))
    await from('qcow2', qcow2Head({ incompatible: 4n }))
    await from('qcow2', qcow2Head({ incompatible: 1n << 40n }))
    await from('qcow2', qcow2Head({ size: 1n << 62n }))
    await from('qcow2', qcow2Head({ size: 16n << 20n, l1Entries: 0 }))
    assert.deepEqual(readdirSync(on.dir), [])
  })
}

function owners(it: It) {
  const [owner, stranger] = [61_234, 61_235]
  const opens = (uid: number, path: string, mode: '<' | '<>') => spawnSync('sh', ['-c', `exec 3${mode}"$0"`, path], { uid, gid: uid }).status === 0

  it('the owner alone opens its volume', async (on) => {
    const volumes = await on.driver()
    await volumes.create('env.0', { base: await on.base(), sizeBytes: 8 * MiB, owner })
    await volumes.create('env.1', { sizeBytes: 8 * MiB, owner })
    await volumes.create('env.2', { sizeBytes: 8 * MiB })
    for (const id of ['env.0', 'env.1']) {
      const { path } = await volumes.attach(id)
      assert.equal(opens(owner, path, '<>'), true, 'the owner cannot open its volume')
      assert.equal(opens(stranger, path, '<'), false, 'a stranger can read it')
    }
    assert.equal(opens(owner, (await volumes.attach('env.2')).path, '<'), false, 'a volume without an owner is the server’s')
    assert.equal(spawnSync('ls', [on.dir], { uid: stranger, gid: stranger }).status === 0, false, 'a stranger can list the volumes')

    await volumes.create('env.0', { sizeBytes: 8 * MiB, owner: stranger })
    const { path } = await volumes.attach('env.0')
    assert.deepEqual([opens(owner, path, '<'), opens(stranger, path, '<>')], [false, true], 'a repeated create gives it to its new owner')
    await Promise.all((await volumes.list()).map((id) => volumes.destroy(id)))
  })

  it('an owner who could not reach its volume is told of', async (on) => {
    const volumes = await on.driver()
    chmodSync(on.root, 0o700)
    const error = await refused(volumes.create('env.0', { sizeBytes: MiB, owner }), 'denied')
    assert(error.message.includes(on.root))
    assert.deepEqual(readdirSync(on.dir), [])
  })
}

/** 4096 bytes that are never zero and differ by `seed`. */
const noise = (seed: number) => Buffer.from(Array.from({ length: 4096 }, (_, at) => 1 + ((at * 31 + seed) % 255)))
