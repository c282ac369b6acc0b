import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { appendMap } from '../../src/base/append-map.ts'
import { journaledEffects, plainEffects } from '../../src/base/effects.ts'
import { writeWhole } from '../../src/base/files.ts'
import { silentLog } from '../../src/base/log.ts'
import { realWorld } from '../../src/base/world.ts'
import { fake } from '../../src/drivers/volume/fake.ts'
import { qcow2 } from '../../src/drivers/volume/qcow2/qcow2.ts'
import type { VolumeFactory } from '../../src/drivers/volume/volume.ts'
import { keptDisks } from '../../src/host/kept-disks.ts'
import { asTtError, type ErrorCode } from '../../src/model/errors.ts'

// A disk without room, or one that cannot be written any more: a small file system, mounted where nobody else sees it.

const MiB = 1 << 20
const inside = 'TT_TEST_MOUNTS'

if (process.env[inside] === '1') suite()
else {
  const { status, stderr, error } = spawnSync('unshare', ['--mount', 'true'], { encoding: 'utf8' })
  if (status !== 0) test('a full disk and a read-only one', { skip: `no mount namespace can be made here: ${error?.message ?? stderr.trim()}` }, () => undefined)
  else process.exitCode = spawnSync('unshare', ['--mount', process.execPath, fileURLToPath(import.meta.url)], { stdio: 'inherit', env: { ...process.env, [inside]: '1' } }).status ?? 1
}

/** A file system of 4 MiB, what fills it, and how it becomes read-only. */
function smallDisk() {
  const dir = mkdtempSync(join(tmpdir(), 'tt-full-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=755', 'tmpfs', dir])
  const ballast = join(dir, 'ballast')
  return {
    dir,
    fill() {
      const fd = openSync(ballast, 'a')
      for (const piece of [65_536, 4096, 1]) for (let full = false; !full; ) try { writeSync(fd, Buffer.alloc(piece)) } catch { full = true } // prettier-ignore
      closeSync(fd)
    },
    free: () => rmSync(ballast),
    remount: (how: 'ro' | 'rw') => execFileSync('mount', ['-o', `remount,${how}`, dir]),
    [Symbol.dispose]() {
      execFileSync('umount', ['--lazy', dir])
      rmSync(dir, { recursive: true })
    },
  }
}

const home = (dir: string) => {
  mkdirSync(dir, { recursive: true })
  chmodSync(dir, 0o711)
  return { dir, mark: 'tests', world: realWorld, effects: plainEffects(), log: silentLog }
}
const is = (code: ErrorCode) => (fault: unknown) => {
  const error = asTtError(fault)
  assert.equal(error.code, code, error.message)
  assert(error.remedy !== undefined, 'it does not say what to do')
  return true
}

function suite() {
  const drivers: Record<string, VolumeFactory> = { qcow2, fake }
  for (const [name, factory] of Object.entries(drivers)) {
    test(`volume ${name} on a full disk: a typed error, no half volume, and all is well once there is room`, async () => {
      using disk = smallDisk()
      const volumes = await factory(home(join(disk.dir, 'volumes')), {})
      await volumes.create('env.0', { sizeBytes: 8 * MiB })
      disk.fill()
      // The last line of the fake's file may still have room.
      const made = new Set(['env.0'])
      for (let n = 1; n < 200 && made.size === n; n++) await volumes.create(`env.${n}`, { sizeBytes: 8 * MiB }).then(() => made.add(`env.${n}`), is('exhausted'))
      assert(made.size < 200, 'the disk is not full')
      assert.deepEqual(new Set(await volumes.list()), made)
      assert.deepEqual(readdirSync(join(disk.dir, 'volumes')).filter((file) => file.endsWith('.new')), [])
      await volumes.create('env.0', { sizeBytes: 16 * MiB }).catch(is('exhausted'))
      assert([8 * MiB, 16 * MiB].includes((await volumes.attach('env.0')).sizeBytes))
      disk.free()
      await volumes.create('env.0', { sizeBytes: 16 * MiB })
      await volumes.create('late.0', { sizeBytes: 8 * MiB })
      await volumes[Symbol.asyncDispose]()
      const next = await factory(home(join(disk.dir, 'volumes')), {})
      assert.deepEqual(new Set(await next.list()), new Set([...made, 'late.0']))
      assert.equal((await next.attach('env.0')).sizeBytes, 16 * MiB)
      for (const id of await next.list()) await next.destroy(id)
      await next[Symbol.asyncDispose]()
    })
  }

  test('a disk is kept whole or not at all on a full disk', async () => {
    using disk = smallDisk()
    const volumes = await qcow2(home(join(disk.dir, 'volumes')), {})
    await volumes.create('abcd.0', { sizeBytes: 8 * MiB })
    const { path } = await volumes.attach('abcd.0')
    execFileSync('qemu-io', ['-f', 'qcow2', '-c', 'write -P 7 0 1M', path])
    const file = join(disk.dir, 'kept.qcow2')
    disk.fill()
    await assert.rejects(volumes.keep('abcd.0', file), is('exhausted'))
    rmSync(join(disk.dir, 'ballast'))
    writeFileSync(join(disk.dir, 'ballast'), Buffer.alloc(2 * MiB)) // Room for a beginning.
    await assert.rejects(volumes.keep('abcd.0', file), is('exhausted'))
    const image = { name: 'none', spec: { engines: ['qemu'], digest: 'd', arch: 'amd64' as const, ways: [], features: [], cpu: 1, memMb: 1, diskMb: 1, ports: [], sizeBytes: 1 }, boot: 'disk' as const, files: {}, options: {} }
    const kept = await keptDisks({ dir: join(disk.dir, 'kept'), volume: volumes, world: realWorld, effects: plainEffects() })
    const what = { vm: { id: 'abcd.0', env: 'demo', index: 0, cpu: 1, memMb: 64 }, owner: 'ann', image }
    await assert.rejects(kept.keep(what), is('exhausted'))
    assert.deepEqual(readdirSync(disk.dir).toSorted(), ['ballast', 'kept', 'volumes'])
    assert.deepEqual(readdirSync(kept.dir), [])
    disk.free()
    await volumes.keep('abcd.0', file)
    execFileSync('qemu-io', ['-r', '-f', 'qcow2', '-c', 'read -P 7 0 1M', file])
    assert.equal(await kept.keep(what), 'kept/demo/0-abcd')
  })

  test('on a full disk the journal stays whole, nothing is done that is not in it, and removals go on', () => {
    using disk = smallDisk()
    const file = join(disk.dir, 'journal')
    writeFileSync(`${file}.1`, '')
    using effects = journaledEffects(file, () => 0)
    const act = (subject: string) => effects.act({ kind: 'file', verb: 'make', subject }, () => subject)
    assert.equal(act('first'), 'first')
    disk.fill()
    let done = 1
    const made = () => {
      for (; done < 200; done++) act('x'.repeat(200))
    }
    assert.throws(made, is('exhausted'))
    assert(done < 200)
    const lines = () => readFileSync(file, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as { subject: string })
    assert.equal(lines().length, done)
    assert.equal(effects.act({ kind: 'file', verb: 'remove', subject: 'ballast' }, () => 'removed'), 'removed')
    disk.free()
    act('last')
    assert.equal(lines().length, done + 1)
    assert.equal(lines().at(-1)?.subject, 'last')
  })

  test('an old journal makes room for the present one', () => {
    using disk = smallDisk()
    const file = join(disk.dir, 'journal')
    writeFileSync(`${file}.1`, Buffer.alloc(MiB))
    using effects = journaledEffects(file, () => 0)
    disk.fill()
    for (let at = 0; at < 1000; at++) effects.act({ kind: 'file', verb: 'make', subject: 'x'.repeat(100) }, () => undefined)
    assert.deepEqual(readdirSync(disk.dir).toSorted(), ['ballast', 'journal'])
  })

  test('a file is written whole or stays as it was', () => {
    using disk = smallDisk()
    const file = join(disk.dir, 'file')
    writeWhole(file, 'as it was')
    disk.fill()
    assert.throws(() => writeWhole(file, Buffer.alloc(3 * MiB, 1)), is('exhausted'))
    rmSync(join(disk.dir, 'ballast'))
    writeFileSync(join(disk.dir, 'ballast'), Buffer.alloc(2 * MiB)) // A write takes what there is room for and calls that a success.
    assert.throws(() => writeWhole(file, Buffer.alloc(3 * MiB, 1)), is('exhausted'))
    assert.equal(readFileSync(file, 'utf8'), 'as it was')
    assert.deepEqual(readdirSync(disk.dir).toSorted(), ['ballast', 'file'])
    disk.free()
    writeWhole(file, Buffer.alloc(3 * MiB, 1))
    assert.equal(readFileSync(file).length, 3 * MiB)
  })

  test('a map in a file keeps what it had on a full disk', async () => {
    using disk = smallDisk()
    const file = join(disk.dir, 'map')
    using map = appendMap<{ text: string }>(file)
    await map.put('first', { text: 'here' })
    disk.fill()
    await assert.rejects(map.put('large', { text: 'x'.repeat(MiB) }), is('exhausted'))
    assert.deepEqual(map.keys(), ['first'])
    disk.free()
    await map.put('second', { text: 'here too' })
    using again = appendMap<{ text: string }>(file)
    assert.deepEqual(again.keys(), ['first', 'second'])
  })

  test('in a read-only directory what is there can be used, and the rest is a typed error until it can be written', async () => {
    using disk = smallDisk()
    const volumes = await qcow2(home(join(disk.dir, 'volumes')), {})
    await volumes.create('env.0', { sizeBytes: 8 * MiB })
    disk.remount('ro')
    assert.equal((await volumes.attach('env.0')).sizeBytes, 8 * MiB)
    for (const call of [() => volumes.create('env.1', { sizeBytes: MiB }), () => volumes.create('env.0', { sizeBytes: 9 * MiB }), () => volumes.destroy('env.0'), () => volumes.keep('env.0', join(disk.dir, 'kept'))])
      await assert.rejects(call, is('unavailable'))
    const probe = await volumes.probe()
    assert(!probe.usable && /read-only/.test(probe.why), JSON.stringify(probe))
    assert.deepEqual(await volumes.list(), ['env.0'])
    disk.remount('rw')
    await volumes.create('env.1', { sizeBytes: MiB })
    await volumes.create('env.0', { sizeBytes: 9 * MiB })
    await Promise.all([volumes.destroy('env.0'), volumes.destroy('env.1')])
    assert.deepEqual(readdirSync(join(disk.dir, 'volumes')), [])
  })
}
