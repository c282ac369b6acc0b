import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, readSync, rmSync, statfsSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { plainEffects } from '../../base/effects.ts'
import { silentLog } from '../../base/log.ts'
import { realWorld } from '../../base/world.ts'
import { TtError } from '../../model/errors.ts'
import type { Disk } from '../../model/plan.ts'
import { growthContract } from './growth.contract.ts'
import { keepingContract } from './keeping.contract.ts'
import { reflink } from './reflink.ts'
import { volumeContract } from './volume.contract.ts'

const own = mkdtempSync(join(tmpdir(), 'tt-reflink-'))
chmodSync(own, 0o711)
const mounts: string[] = []
const clear = () => {
  for (const root of mounts.splice(0)) execFileSync('umount', ['--lazy', root])
  rmSync(own, { recursive: true, force: true })
}
process.once('exit', clear) // Whatever ends this file, no mount outlives it.
after(clear)

const contents = {
  async read({ path }: Disk, offset: number, length: number): Promise<Buffer> {
    const fd = openSync(path, 'r')
    const bytes = Buffer.alloc(length)
    assert.equal(readSync(fd, bytes, 0, length, offset), length)
    closeSync(fd)
    return bytes
  },
  async write({ path }: Disk, offset: number, bytes: Buffer): Promise<void> {
    const fd = openSync(path, 'r+')
    writeSync(fd, bytes, 0, bytes.length, offset)
    closeSync(fd)
  },
}

const base = async (dir: string): Promise<Disk> => {
  const path = join(dir, 'base.raw')
  writeFileSync(path, Buffer.alloc(3 << 20, 'what the image holds; '))
  return { path, format: 'raw', sizeBytes: 3 << 20 }
}

const homeIn = (dir: string) => ({ dir, mark: 'tests', world: realWorld, effects: plainEffects(), log: silentLog })

/** File systems that can share blocks, made in files and mounted here. */
const makers = [
  { name: 'btrfs', make: (image: string) => ['mkfs.btrfs', '-q', image], sizeBytes: 256 << 20 },
  { name: 'xfs', make: (image: string) => ['mkfs.xfs', '-q', '-m', 'reflink=1', image], sizeBytes: 320 << 20 },
]

for (const { name, make, sizeBytes } of makers) {
  const mounted = mount(name, make, sizeBytes)
  if ('why' in mounted) {
    test(`volume reflink on ${name}`, { skip: mounted.why }, () => undefined)
    continue
  }
  const { root } = mounted
  const subject = { name: `reflink on ${name}`, factory: reflink, base, contents, root }
  await volumeContract(subject)
  await growthContract(subject)
  await keepingContract(subject)
  test(`volume reflink on ${name}: a copy takes no room of its own`, async () => {
    const dir = join(root, 'room')
    mkdirSync(dir)
    const { path } = await base(root)
    const fd = openSync(path, 'r+')
    for (let at = 0; at < 48; at++) writeSync(fd, Buffer.alloc(1 << 20, at + 1), 0, 1 << 20, at << 20)
    closeSync(fd)
    const volumes = await reflink(homeIn(dir), {})
    const freeBytes = () => (execFileSync('sync', ['-f', dir]), statfsSync(dir).bavail * statfsSync(dir).bsize)
    const before = freeBytes()
    for (let n = 0; n < 8; n++) await volumes.create(`env.${n}`, { base: { path, format: 'raw', sizeBytes: 48 << 20 }, sizeBytes: 1 << 30 })
    assert(before - freeBytes() < 48 << 20, `8 copies of 48 MiB took ${before - freeBytes()} bytes`)
    rmSync(dir, { recursive: true })
  })
  test(`volume reflink on ${name}: a base of another file system, or in qcow2, is refused`, async () => {
    const dir = join(root, 'far')
    mkdirSync(dir)
    const volumes = await reflink(homeIn(dir), {})
    const unsupported = (fault: unknown) => fault instanceof TtError && fault.code === 'unsupported' && fault.remedy !== undefined
    await assert.rejects(volumes.create('env.0', { base: await base(own), sizeBytes: 8 << 20 }), unsupported)
    const path = join(own, 'base.qcow2')
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '1M'])
    await assert.rejects(volumes.create('env.0', { base: { path, format: 'qcow2', sizeBytes: 1 << 20 }, sizeBytes: 8 << 20 }), unsupported)
    assert.deepEqual(readdirSync(dir), [])
    rmSync(dir, { recursive: true })
  })
}

test('a file system that cannot share blocks is not usable, and the reason is given', async () => {
  const dir = mkdtempSync('/dev/shm/tt-reflink-')
  try {
    const volumes = await reflink(homeIn(dir), {})
    const probe = await volumes.probe()
    assert(!probe.usable)
    assert.match(probe.why, /cannot share blocks/)
    assert.deepEqual(readdirSync(dir), [])
    await assert.rejects(volumes.create('env.0', { base: await base(own), sizeBytes: 8 << 20 }), (fault) => fault instanceof TtError && fault.code === 'unsupported')
    assert.deepEqual(readdirSync(dir), [])
  } finally {
    rmSync(dir, { recursive: true })
  }
})

/** Mounts a fresh file system for the life of this test file, or says why it cannot. */
function mount(name: string, make: (image: string) => string[], sizeBytes: number): { root: string } | { why: string } {
  const image = join(own, `${name}.img`)
  const root = join(own, name)
  execFileSync('truncate', ['-s', String(sizeBytes), image])
  mkdirSync(root)
  const [maker = '', ...args] = make(image)
  const made = spawnSync(maker, args, { encoding: 'utf8' })
  if (made.error) return { why: `${maker} is not installed (${name === 'xfs' ? 'xfsprogs' : 'btrfs-progs'})` }
  if (made.status !== 0) return { why: `${maker} failed: ${made.stderr.trim()}` }
  const mounting = spawnSync('mount', ['-o', 'loop', image, root], { encoding: 'utf8' })
  if (mounting.status !== 0) return { why: `${name} cannot be mounted here: ${mounting.stderr.trim() || mounting.error?.message}` }
  mounts.push(root)
  return { root }
}
