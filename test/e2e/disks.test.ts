import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { plainEffects } from '../../src/base/effects.ts'
import { silentLog } from '../../src/base/log.ts'
import { realWorld } from '../../src/base/world.ts'
import { ground } from '../../src/drivers/engine/ground.ts'
import { demoPlan, testOptions, testUid } from '../../src/drivers/engine/qemu/guests.ts'
import { qemu } from '../../src/drivers/engine/qemu/qemu.ts'
import { qcow2 } from '../../src/drivers/volume/qcow2/qcow2.ts'
import type { VolumeDriver } from '../../src/drivers/volume/volume.ts'
import type { Engine } from '../../src/drivers/engine/engine.ts'
import { type MicroImage, microImage, type Shell, shellOf } from './micro-guest.ts'

// Disks of real guests, seen from inside and from outside.

const alive = setInterval(() => undefined, 1000)
after(() => clearInterval(alive))
const MiB = 1 << 20
const image = microImage()
const skip = 'why' in image ? image.why : undefined

interface Machine {
  image: MicroImage
  engine: Engine
  volumes: VolumeDriver
  dir: string
}

function it(what: string, run: (machine: Machine) => Promise<void>): void {
  test(what, { skip, timeout: 240_000 }, async () => {
    assert('base' in image)
    const on = ground({ factory: qemu, options: testOptions, plan: demoPlan })
    const dir = join(on.disks, 'volumes')
    mkdirSync(dir, { mode: 0o711 })
    try {
      const volumes = await qcow2({ dir, mark: on.mark, world: realWorld, effects: plainEffects(), log: silentLog }, {})
      const engine = await on.engine()
      await run({ image, engine, volumes, dir: on.disks })
      for (const id of await engine.list()) await engine.destroy(id)
      await on.dispose()
      assert.deepEqual(on.traces(), [])
    } finally {
      await on.clear()
    }
  })
}

/** Starts a guest on a volume made or grown to this size, and gives its shell once its file system has the size, too. */
async function boot({ image, engine, volumes }: Machine, id: string, { sizeMb, base = image.base }: { sizeMb: number; base?: MicroImage['base'] }): Promise<Shell> {
  await volumes.create(id, { base, sizeBytes: sizeMb * MiB, ...(testUid === undefined ? {} : { owner: testUid }) })
  await engine.start(image.plan(id, [await volumes.attach(id)]))
  const shell = await shellOf(engine, id)
  assert.equal((await shell.run('cat /sys/class/block/vda/size')).out, String(sizeMb * 2048), 'the guest sees another size')
  // ext4 keeps something of it for itself.
  const grown = await shell.run(`for at in $(seq 300); do size=$(df -m / | awk 'END { print $2 }'); [ $size -gt ${Math.floor(sizeMb * 0.88)} ] && exit 0; sleep 0.1; done; df -m /; exit 1`)
  assert.equal(grown.code, 0, `its file system is not ${sizeMb} MB: ${grown.out}`)
  return shell
}

async function halt({ engine }: Machine, id: string, shell: Shell): Promise<void> {
  await shell.channel.halt?.({ signal: AbortSignal.timeout(20_000) })
  await shell[Symbol.asyncDispose]()
  await engine.stop(id, 0)
}

it('[C11 H06 H10] a disk has the size that was asked for: a guest that fills it is told so, and the host gives no more', async (machine) => {
  const sizeMb = 300
  const { sha256sum } = digestOf(machine.image)
  const shell = await boot(machine, 'full.0', { sizeMb })
  const { path } = await machine.volumes.attach('full.0')
  // A table entry of 8 bytes and a count of 2 for each cluster of 64 KiB, and the first clusters.
  const mostBytes = sizeMb * MiB + (sizeMb * MiB * 10) / 65_536 + 16 * 65_536
  for (let round = 0; round < 2; round++) {
    const filled = await shell.run('dd if=/dev/zero of=/big bs=1M; sync')
    assert.match(filled.out, /No space left on device/)
    const { size, blocks } = statSync(path)
    assert(size <= mostBytes && blocks * 512 <= mostBytes, `the file has ${size} bytes and takes ${blocks * 512} of at most ${mostBytes}`)
    // What the image brought is in its own file, and counts within the size.
    assert(blocks * 512 > 0.7 * sizeMb * MiB, 'it was not filled, which proves nothing')
    assert.equal((await shell.run('rm /big; sync; fstrim / && sync')).code, 0)
  }
  assert(statSync(path).blocks * 512 < 150 * MiB, 'what the guest gives back is given back')
  const beyond = await shell.run(`dd if=/dev/zero of=/dev/vda bs=1M seek=${sizeMb} count=1`)
  assert.match(beyond.out, /No space left on device/, 'past its end')
  assert.equal((await shell.run(`dd if=/dev/zero of=/dev/vda bs=512 seek=${sizeMb * 2048 - 1} count=1 conv=notrunc 2>/dev/null; echo $?`)).out, '0', 'the last sector is its own')
  await shell[Symbol.asyncDispose]()
  await machine.engine.destroy('full.0')
  assert.equal(digestOf(machine.image).sha256sum, sha256sum, 'the base was written to')
})

it('[B15 C11 D04] a disk grows while its VM is stopped, keeps what was written, and goes on as an image when it is kept', async (machine) => {
  const { volumes, engine, dir } = machine
  const first = await boot(machine, 'grows.0', { sizeMb: 300 })
  assert.equal((await first.run('echo here >/root/marker; dd if=/dev/urandom of=/root/data bs=1M count=20 2>/dev/null; sha256sum </root/data >/root/sum')).code, 0)
  await halt(machine, 'grows.0', first)
  const second = await boot(machine, 'grows.0', { sizeMb: 700 })
  assert.equal((await second.run('cat /root/marker; sha256sum </root/data | cmp - /root/sum && echo same')).out, 'here\nsame')
  assert.equal((await second.run('dd if=/dev/zero of=/large bs=1M count=400 2>/dev/null && rm /large && echo later >>/root/marker')).code, 0, 'it cannot use what was added')
  await halt(machine, 'grows.0', second)

  const kept = await volumes.keep('grows.0', join(dir, 'kept'))
  await Promise.all([engine.destroy('grows.0'), volumes.destroy('grows.0')])
  execFileSync('qemu-img', ['convert', '-f', kept.format, '-O', 'raw', kept.path, join(dir, 'raw')])
  const check = spawnSync('/sbin/e2fsck', ['-fn', join(dir, 'raw')], { encoding: 'utf8' })
  assert.equal(check.status, 0, `${check.stdout}${check.stderr}`)
  execFileSync('chmod', ['644', kept.path])
  const third = await boot(machine, 'again.0', { sizeMb: 800, base: kept })
  assert.equal((await third.run('cat /root/marker; sha256sum </root/data | cmp - /root/sum && echo same')).out, 'here\nlater\nsame')
  await third[Symbol.asyncDispose]()
})

it('[D06 H06] a guest sees the processors and memory that were asked for', async (machine) => {
  const { image, engine, volumes } = machine
  await volumes.create('sized.0', { base: image.base, sizeBytes: 256 * MiB, ...(testUid === undefined ? {} : { owner: testUid }) })
  const plan = image.plan('sized.0', [await volumes.attach('sized.0')])
  for (const { cpu, memMb } of [{ cpu: 2, memMb: 192 }, { cpu: 1, memMb: 320 }]) {
    await engine.start({ ...plan, cpu, memMb })
    const shell = await shellOf(engine, 'sized.0')
    assert.equal((await shell.run('nproc')).out, String(cpu))
    const seenMb = Number((await shell.run("awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo")).out)
    assert(seenMb <= memMb && seenMb > memMb - 60, `it sees ${seenMb} MB of ${memMb}`)
    await halt(machine, 'sized.0', shell)
  }
})

it('[H15] a VM keeps the number of its machine over stops and starts, and shares it with no other', async (machine) => {
  const { image, engine, volumes } = machine
  const numbers: string[] = []
  for (const id of ['same.0', 'same.0', 'other.0']) {
    await volumes.create(id, { base: image.base, sizeBytes: 256 * MiB, ...(testUid === undefined ? {} : { owner: testUid }) })
    // A microvm has no table in which its guest could read it.
    await engine.start({ ...image.plan(id, [await volumes.attach(id)]), options: { machine: { type: 'q35' } } })
    const shell = await shellOf(engine, id)
    numbers.push((await shell.run('cat /sys/class/dmi/id/product_uuid')).out)
    await halt(machine, id, shell)
  }
  const [first, again, other] = numbers
  assert.match(first ?? '', /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  assert.equal(again, first)
  assert.notEqual(other, first)
})

const digestOf = (image: MicroImage) => ({ sha256sum: execFileSync('sha256sum', [image.base.path], { encoding: 'utf8' }) })
