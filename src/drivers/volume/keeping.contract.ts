import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { diskFormatOf, diskHeadBytes } from '../../model/disk-format.ts'
import { casesOf, type Contents, type It, mortal, refused, type VolumeSubject } from './ground.ts'

const MiB = 1 << 20

/** Proves that a volume driver keeps volumes as files as the contract says. Awaited at the top of its test file. */
export async function keepingContract(subject: VolumeSubject): Promise<void> {
  const cases = await casesOf(subject, 'keeping of volume', { test })
  if (!cases) return
  verbs(cases.it)
  if (subject.contents) contents(cases.it, subject.contents)
}

function verbs(it: It): void {
  it('[B15] a volume is kept as one file that says what it is, as often as asked', async (on) => {
    const volumes = await on.driver()
    await volumes.create('env.0', { base: await on.base(), sizeBytes: 8 * MiB })
    const before = await volumes.attach('env.0')
    const file = join(on.root, 'kept')
    for (let times = 0; times < 2; times++) {
      const kept = await volumes.keep('env.0', file)
      assert.deepEqual(kept, { path: file, format: volumes.features.format, sizeBytes: 8 * MiB, readOnly: true })
      assert.equal(statSync(file).mode & 0o777, 0o600)
      assert.equal(statSync(file).uid, process.getuid?.() ?? 0)
      const said = diskFormatOf(readFileSync(file).subarray(0, diskHeadBytes))
      assert.deepEqual([said.format, said.flaw], [kept.format, undefined], 'it leads to another file, or is none')
    }
    assert.equal(existsSync(`${file}.new`), false)
    assert.deepEqual(await volumes.attach('env.0'), before)
    await volumes.destroy('env.0')
    rmSync(file)
  })

  it('a volume that is not there, a place that is none and a call that was given up keep nothing', async (on) => {
    const volumes = await on.driver()
    const file = join(on.root, 'kept')
    const around = () => readdirSync(on.root).toSorted()
    const before = around()
    await refused(volumes.keep('env.0', file), 'not_found')
    await volumes.create('env.0', { sizeBytes: MiB })
    await assert.rejects(volumes.keep('env.0', join(on.root, 'missing/kept')))
    await assert.rejects(volumes.keep('env.0', file, { signal: AbortSignal.abort(new Error('enough')) }), /enough/)
    assert.deepEqual(around(), before)
    await volumes.destroy('env.0')
  })

  it('a large volume with little in it is kept in little time and room', async (on) => {
    const volumes = await on.driver()
    await volumes.create('env.0', { base: await on.base(), sizeBytes: 2 ** 40 })
    const file = join(on.root, 'kept')
    const start = performance.now()
    assert.equal((await volumes.keep('env.0', file)).sizeBytes, 2 ** 40)
    assert(performance.now() - start < 20_000, `it took ${performance.now() - start} ms`)
    assert(statSync(file).blocks * 512 < 8 * MiB, `it takes ${statSync(file).blocks * 512} bytes`)
    await volumes.destroy('env.0')
    rmSync(file)
  })

  it('a server that dies at any effect of keep leaves the file whole or not there, and the next can go on', async (on) => {
    const file = join(on.root, 'kept')
    const base = await on.base()
    for (let at = 1, over = false; !over; at++) {
      for (const side of ['before', 'after'] as const) {
        const fate = mortal(at, side)
        const doomed = await on.driver(fate.effects)
        await doomed.create('env.0', { base, sizeBytes: 8 * MiB })
        fate.armed = true
        await doomed.keep('env.0', file).catch((fault: unknown) => fate.dead || Promise.reject(fault))
        over = !fate.dead
        await doomed[Symbol.asyncDispose]()
        const volumes = await on.driver()
        if (existsSync(file)) await volumes.create('env.1', { base: { path: file, format: volumes.features.format, sizeBytes: 8 * MiB }, sizeBytes: 8 * MiB })
        await volumes.keep('env.0', file)
        assert.deepEqual(readdirSync(dirname(file)).filter((name) => name.startsWith('kept')), ['kept'])
        await Promise.all([volumes.destroy('env.0'), volumes.destroy('env.1')])
        rmSync(file)
        await volumes[Symbol.asyncDispose]()
      }
      assert(!over || at > 1, 'keep does not use its door to the machine')
    }
  })
}

function contents(it: It, { read, write }: Contents): void {
  it('[B15] a kept file has all of its volume, needs nothing else, and others start from it', async (on) => {
    const volumes = await on.driver()
    const base = await on.base()
    await volumes.create('env.0', { base, sizeBytes: 8 * MiB })
    await volumes.create('env.0', { base, sizeBytes: 16 * MiB })
    const disk = await volumes.attach('env.0')
    const ofBase = await read(disk, base.sizeBytes - 4096, 4096)
    const written = [0, 8 * MiB, 16 * MiB - 4096]
    for (const offset of written) await write(disk, offset, Buffer.alloc(4096, 1 + (offset % 251)))
    const kept = await volumes.keep('env.0', join(on.root, 'kept'))
    await write(disk, 0, Buffer.alloc(4096, 'later'))
    await volumes.destroy('env.0')
    await volumes.create('env.1', { base: kept, sizeBytes: 32 * MiB })
    for (const found of [kept, await volumes.attach('env.1')]) {
      for (const offset of written) assert.deepEqual(await read(found, offset, 4096), Buffer.alloc(4096, 1 + (offset % 251)))
      assert.deepEqual(await read(found, base.sizeBytes - 4096, 4096), ofBase)
      assert.deepEqual(await read(found, 12 * MiB, 4096), Buffer.alloc(4096))
    }
    await volumes.destroy('env.1')
    rmSync(kept.path)
  })

  it('a keep that is given up in the middle leaves nothing and the volume whole', async (on) => {
    const volumes = await on.driver()
    await volumes.create('env.0', { base: await on.base(), sizeBytes: 64 * MiB })
    const disk = await volumes.attach('env.0')
    for (let at = 0; at < 16; at++) await write(disk, at * 4 * MiB, Buffer.alloc(65_536, at + 1))
    const before = readdirSync(on.root).toSorted()
    for (const ms of [0, 2, 5]) {
      const given = new AbortController()
      const keeping = volumes.keep('env.0', join(on.root, 'kept'), given)
      setTimeout(() => given.abort(new Error('enough')), ms)
      const outcome = await keeping.then(() => 'kept', String)
      if (outcome === 'kept') rmSync(join(on.root, 'kept'))
      assert(/enough|kept/.test(outcome), outcome)
      assert.deepEqual(readdirSync(on.root).toSorted(), before)
    }
    assert.deepEqual(await read(disk, 60 * MiB, 65_536), Buffer.alloc(65_536, 16))
    await volumes.destroy('env.0')
  })
}
