import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { plainEffects } from '../src/base/effects.ts'
import { silentLog } from '../src/base/log.ts'
import { realWorld } from '../src/base/world.ts'
import { mortal } from '../src/drivers/volume/ground.ts'
import { fake } from '../src/drivers/volume/fake.ts'
import { qcow2 } from '../src/drivers/volume/qcow2/qcow2.ts'
import type { VolumeFactory } from '../src/drivers/volume/volume.ts'
import { type FoundImage, sightings } from '../src/host/image-files.ts'
import { keptDisks, keptName } from '../src/host/kept-disks.ts'

const MiB = 1 << 20
const vm = { id: 'abcdef0123456789.3', env: 'demo', index: 3, cpu: 2, memMb: 256 }

process.umask(0o077) // As a server's is.

/** A directory with an image, a volume made from it, and the kept disks. */
async function ground(factory: VolumeFactory, { effects = plainEffects(), root = mkdtempSync(join(tmpdir(), 'tt-kept-')) } = {}) {
  chmodSync(root, 0o711)
  const images = join(root, 'images')
  mkdirSync(images, { recursive: true })
  const base = { path: join(images, 'base.raw'), format: 'raw' as const, sizeBytes: 3 * MiB, readOnly: true }
  writeFileSync(base.path, Buffer.alloc(3 * MiB, 'what the image holds; '))
  const files = { kernel: join(images, 'vmlinux'), initrd: join(images, 'initrd.cpio') }
  for (const path of Object.values(files)) {
    writeFileSync(path, `the ${path}`)
    chmodSync(path, 0o644)
  }
  const spec = { engines: ['qemu', 'other'], digest: 'd', arch: 'amd64' as const, ways: ['rexec' as const], features: ['x'], cpu: 1, memMb: 128, diskMb: 8, ports: [22, 80], sizeBytes: 1 }
  const image: FoundImage = { name: 'micro', spec, boot: 'kernel', files, base, cmdline: 'root=/dev/vda', options: { vnc: false } }
  mkdirSync(join(root, 'volumes'), { recursive: true })
  const volume = await factory({ dir: join(root, 'volumes'), mark: 'tests', world: realWorld, effects, log: silentLog }, {})
  await volume.create(vm.id, { base, sizeBytes: 8 * MiB })
  const kept = await keptDisks({ dir: join(root, 'kept'), volume, world: realWorld, effects })
  return { root, image, volume, kept, what: { vm, owner: 'ann', image }, [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }) }
}

async function found(dir: string) {
  const all = []
  for await (const sighting of sightings(dir, new Set(['qemu']))) all.push(sighting)
  return all
}

test('[B15] a kept disk is an image with everything of its original, found by the catalogue', async () => {
  using on = await ground(qcow2)
  const name = await on.kept.keep(on.what)
  assert.equal(name, 'kept/demo/3-abcdef01')
  assert.equal(keptName(vm), name)
  const [sighting, ...more] = await found(on.kept.dir)
  assert.equal(more.length, 0)
  assert(sighting && 'image' in sighting, JSON.stringify(sighting))
  const { image } = sighting
  assert.deepEqual([image.name, image.boot, image.cmdline, image.options], [name, 'kernel', 'root=/dev/vda', { vnc: false }])
  const { memo = '', engines, arch, ways, features, cpu, memMb, diskMb, ports } = image.spec
  assert.match(memo, /^The disk of demo\.3, made from micro, as it was on \d{4}-\d\d-\d\d at \d\d:\d\d UTC$/)
  assert.deepEqual({ engines, arch, ways, features, cpu, memMb, diskMb, ports }, { engines: ['qemu', 'other'], arch: 'amd64', ways: ['rexec'], features: ['x'], cpu: 2, memMb: 256, diskMb: 8, ports: [22, 80] })
  const manifest = JSON.parse(readFileSync(join(image.base?.path ?? '', '../image.json'), 'utf8'))
  assert.equal(manifest.owner, 'ann')
  for (const file of [manifest.kernel, manifest.initrd, manifest.disk]) {
    const path = join(image.base?.path ?? '', '..', file.file)
    assert.equal(createHash('sha256').update(readFileSync(path)).digest('hex'), file.sha256)
    assert.equal(statSync(path).mode & 0o777, 0o644)
  }
  assert.equal(statSync(image.files.kernel ?? '').ino, statSync(on.image.files.kernel ?? '').ino, 'one kernel for both')
  for (const dir of [on.kept.dir, join(image.base?.path ?? '', '..')]) assert.equal(statSync(dir).mode & 0o777, 0o711, 'users pass through, and nobody looks around')

  await on.volume.destroy(vm.id)
  await on.volume.create('other.0', { base: image.base ?? assert.fail(), sizeBytes: 8 * MiB })
  const { path } = await on.volume.attach('other.0')
  assert.match(execFileSync('qemu-io', ['-r', '-f', 'qcow2', '-c', 'read -v 0 64', path], { encoding: 'utf8' }), /what\.the\.imag/)

  assert.equal(await on.kept.keep(on.what), name, 'what was kept is not kept again, and needs no volume')
  await on.kept.drop(name)
  await on.kept.drop(name)
  assert.deepEqual(readdirSync(on.kept.dir), [])
})

test('an image without files is kept as a disk, by any volume driver', async () => {
  using on = await ground(fake)
  await on.kept.keep({ ...on.what, image: { ...on.image, files: {}, spec: { ...on.image.spec, arch: 'amd64', ways: ['engine'] } } })
  const [sighting] = await found(on.kept.dir)
  assert(sighting && 'image' in sighting, JSON.stringify(sighting))
  assert.equal(sighting.image.spec.ways[0], 'engine', 'who took commands before does so again')
  assert.deepEqual([sighting.image.boot, sighting.image.base?.format, sighting.image.base?.sizeBytes], ['disk', 'raw', 8 * MiB])
  await on.volume[Symbol.asyncDispose]()
})

test('what cannot be kept leaves nothing, and is not found', async () => {
  using on = await ground(qcow2)
  await assert.rejects(on.kept.keep({ ...on.what, vm: { ...vm, id: 'missing0.0' } }), { code: 'not_found' })
  await assert.rejects(on.kept.keep({ ...on.what, image: { ...on.image, files: { kernel: '/missing' } } }), { code: 'ENOENT' })
  await assert.rejects(on.kept.keep(on.what, { signal: AbortSignal.abort(new Error('enough')) }), /enough/)
  assert.deepEqual(readdirSync(on.kept.dir), [])
})

test('a server that dies at any effect of keep and drop leaves one image or none, and the next ends what it began', async () => {
  const root = mkdtempSync(join(tmpdir(), 'tt-kept-'))
  for (const verb of ['keep', 'drop'] as const) {
    for (let at = 1, over = false; !over; at++) {
      for (const side of ['before', 'after'] as const) {
        const fate = mortal(at, side)
        const doomed = await ground(qcow2, { root, effects: fate.effects })
        if (verb === 'drop') await doomed.kept.keep(doomed.what)
        fate.armed = true
        const done = verb === 'keep' ? doomed.kept.keep(doomed.what) : doomed.kept.drop(keptName(vm))
        await done.catch((fault: unknown) => fate.dead || Promise.reject(fault))
        over = !fate.dead
        const seen = (await found(doomed.kept.dir)).length
        assert(seen <= 1, `after a death ${side} effect ${at} of ${verb} there are ${seen}`)

        const next = await ground(qcow2, { root })
        const left = readdirSync(next.kept.dir)
        assert.equal(left.length, (await found(next.kept.dir)).length, `a death ${side} effect ${at} of ${verb} leaves ${left.join()}`)
        await next.kept.keep(next.what)
        assert.deepEqual((await found(next.kept.dir)).map((one) => 'image' in one && one.name), [keptName(vm)])
        await next.kept.drop(keptName(vm))
        assert.deepEqual(readdirSync(next.kept.dir), [])
      }
      assert(!over || at > 2, `${verb} does not use its door to the machine`)
    }
  }
  rmSync(root, { recursive: true })
})
