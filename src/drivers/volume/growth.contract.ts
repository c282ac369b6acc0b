import assert from 'node:assert/strict'
import { test } from 'node:test'
import { casesOf, type Contents, type It, mortal, refused, type VolumeSubject } from './ground.ts'

const MiB = 1 << 20

/** Proves that a volume driver does as the contract says when a volume is asked for again with another size. Awaited at the top of its test file. */
export async function growthContract(subject: VolumeSubject): Promise<void> {
  const cases = await casesOf(subject, 'growth of volume', { test })
  if (!cases) return
  verbs(cases.it)
  if (subject.contents) contents(cases.it, subject.contents)
}

function verbs(it: It): void {
  it('[C11] a volume asked for again with a larger size grows where it is, and never shrinks', async (on) => {
    const volumes = await on.driver()
    const base = await on.base()
    await volumes.create('env.0', { base, sizeBytes: 5 * MiB })
    const { path, ...rest } = await volumes.attach('env.0')
    for (const sizeBytes of [9 * MiB, 9 * MiB, 9 * MiB + 1, 2 ** 41]) {
      await volumes.create('env.0', { base, sizeBytes })
      assert.deepEqual(await volumes.attach('env.0'), { ...rest, path, sizeBytes: Math.ceil(sizeBytes / 512) * 512 })
    }
    const error = await refused(volumes.create('env.0', { base, sizeBytes: 2 ** 41 - 512 }), 'invalid')
    assert.match(error.remedy ?? '', /at least 2097152 MB/, 'what can be asked for is said')
    await volumes[Symbol.asyncDispose]()
    const next = await on.driver()
    assert.equal((await next.attach('env.0')).sizeBytes, 2 ** 41, 'a new server finds it as large')
    await next.destroy('env.0')
  })

  it('[C11] a server that dies at any effect of a growth leaves the old size or the new, and the next can go on', async (on) => {
    const base = await on.base()
    for (let at = 1, over = false; !over; at++) {
      for (const side of ['before', 'after'] as const) {
        const fate = mortal(at, side)
        const doomed = await on.driver(fate.effects)
        await doomed.create('env.0', { base, sizeBytes: 8 * MiB })
        fate.armed = true
        await doomed.create('env.0', { base, sizeBytes: 4096 * MiB }).catch((fault: unknown) => fate.dead || Promise.reject(fault))
        over = !fate.dead
        await doomed[Symbol.asyncDispose]()
        const volumes = await on.driver()
        assert([8 * MiB, 4096 * MiB].includes((await volumes.attach('env.0')).sizeBytes))
        await volumes.create('env.0', { base, sizeBytes: 4096 * MiB })
        assert.equal((await volumes.attach('env.0')).sizeBytes, 4096 * MiB)
        await volumes.destroy('env.0')
        await volumes[Symbol.asyncDispose]()
      }
      assert(!over || at > 1, 'a growth does not use its door to the machine')
    }
  })
}

function contents(it: It, { read, write }: Contents): void {
  it('[C11] what was written stays when a volume grows, and what is new reads as zeros and takes data', async (on) => {
    const volumes = await on.driver()
    const base = await on.base()
    await volumes.create('env.0', { base, sizeBytes: 8 * MiB })
    const before = await volumes.attach('env.0')
    const ofBase = await read(before, 0, 4096)
    const last = 8 * MiB - 4096
    await write(before, last, Buffer.alloc(4096, 7))
    // From each of these sizes to the next the tables of a format may change in another way.
    for (const sizeBytes of [9 * MiB, 513 * MiB, 2 ** 40, 6 * 2 ** 40]) {
      await volumes.create('env.0', { base, sizeBytes })
      const disk = await volumes.attach('env.0')
      assert.equal(disk.sizeBytes, sizeBytes)
      assert.deepEqual(await read(disk, 0, 4096), ofBase)
      assert.deepEqual(await read(disk, last, 4096), Buffer.alloc(4096, 7))
      assert.deepEqual(await read(disk, sizeBytes - 4096, 4096), Buffer.alloc(4096))
      await write(disk, sizeBytes - 4096, Buffer.alloc(4096, 9))
      assert.deepEqual(await read(disk, sizeBytes - 4096, 4096), Buffer.alloc(4096, 9))
    }
    const disk = await volumes.attach('env.0')
    for (const end of [9 * MiB, 513 * MiB, 2 ** 40]) assert.deepEqual(await read(disk, end - 4096, 4096), Buffer.alloc(4096, 9), 'data of an earlier size is lost')
    await volumes.destroy('env.0')
  })
}
