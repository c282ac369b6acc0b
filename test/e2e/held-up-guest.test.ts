import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { plainEffects } from '../../src/base/effects.ts'
import { silentLog } from '../../src/base/log.ts'
import { realWorld } from '../../src/base/world.ts'
import { eventually, ground, watching } from '../../src/drivers/engine/ground.ts'
import { demoPlan, testOptions, testUid } from '../../src/drivers/engine/qemu/guests.ts'
import { qemu } from '../../src/drivers/engine/qemu/qemu.ts'
import { qcow2 } from '../../src/drivers/volume/qcow2/qcow2.ts'
import { microImage, shellOf } from './micro-guest.ts'

// The host's disk fills up under a running guest. The small file system is mounted where nobody else sees it.

const inside = 'TT_TEST_MOUNTS'
const what = 'a guest whose disk finds no room on the host is held, says so, and goes on when there is room, over a restart of the server too'
const image = microImage()

if ('why' in image) test(what, { skip: image.why }, () => undefined)
else if (process.env[inside] === '1') test(what, { timeout: 120_000 }, heldUp)
else {
  const { status, stderr, error } = spawnSync('unshare', ['--mount', 'true'], { encoding: 'utf8' })
  if (status !== 0) test(what, { skip: `no mount namespace can be made here: ${error?.message ?? stderr.trim()}` }, () => undefined)
  else process.exitCode = spawnSync('unshare', ['--mount', process.execPath, fileURLToPath(import.meta.url)], { stdio: 'inherit', env: { ...process.env, [inside]: '1' } }).status ?? 1
}

async function heldUp(): Promise<void> {
  assert('base' in image)
  const alive = setInterval(() => undefined, 1000)
  after(() => clearInterval(alive))
  const on = ground({ factory: qemu, options: testOptions, plan: demoPlan })
  const disk = mkdtempSync(join(tmpdir(), 'tt-held-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m,mode=711', 'tmpfs', disk])
  try {
    const dir = join(disk, 'volumes')
    mkdirSync(dir)
    chmodSync(dir, 0o711)
    const volumes = await qcow2({ dir, mark: on.mark, world: realWorld, effects: plainEffects(), log: silentLog }, {})
    await volumes.create('held.0', { base: image.base, sizeBytes: 256 << 20, ...(testUid === undefined ? {} : { owner: testUid }) })
    const engine = await on.engine()
    await engine.start(image.plan('held.0', [await volumes.attach('held.0')]))
    const shell = await shellOf(engine, 'held.0')
    const before = await engine.inspect('held.0')
    const ballast = join(disk, 'ballast')
    const fd = openSync(ballast, 'w')
    for (let full = false; !full; ) try { writeSync(fd, Buffer.alloc(65_536)) } catch { full = true } // prettier-ignore
    closeSync(fd)

    const { seen, end } = watching(engine)
    const writing = shell.run('dd if=/dev/urandom of=/data bs=1M count=24 2>/dev/null; sync; sha256sum </data >/sum; echo done')
    const troubled = async (one = engine) => {
      const now = await one.inspect('held.0')
      assert(now.state === 'running' && now.trouble !== undefined, JSON.stringify(now))
      assert.match(now.trouble, /the host's disk is full/)
      return now
    }
    await eventually(() => troubled())
    assert(seen.includes('held.0'), 'nobody was told')
    await realWorld.sleep(3000) // It tries again meanwhile.
    await troubled()
    await end()
    await shell[Symbol.asyncDispose]()
    await writing.catch(() => undefined)
    await engine[Symbol.asyncDispose]()

    const next = await on.engine()
    await eventually(() => troubled(next))
    rmSync(ballast)
    await eventually(async () => assert.deepEqual(await next.inspect('held.0'), before, 'it does not go on'))
    await using again = await shellOf(next, 'held.0')
    assert.equal((await again.run('dd if=/dev/urandom of=/data bs=1M count=24 2>/dev/null; sync; echo $?; dmesg | grep -c "I/O error"')).out, '0\n0', 'the guest has seen an error')

    await next.pause?.('held.0')
    assert.equal((await next.inspect('held.0')).state, 'paused')
    await realWorld.sleep(3000)
    assert.equal((await next.inspect('held.0')).state, 'paused', 'who pauses a guest is the one who resumes it')
    await next.destroy('held.0')
    await on.dispose()
    assert.deepEqual(on.traces(), [])
  } finally {
    await on.clear()
    execFileSync('umount', ['--lazy', disk])
    rmSync(disk, { recursive: true })
  }
}
