import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Finding } from '../src/model/session.ts'
import { fakeCloud, temporaryDir } from './fake-cloud.ts'

const inside = 'TT_TEST_MOUNTS'

if (process.env[inside] === undefined) {
  const { status, stderr, error } = spawnSync('unshare', ['--mount', 'true'], { encoding: 'utf8' })
  if (status !== 0) test('N07: space, with mounts of its own', { skip: `no mount namespace can be made here: ${error?.message ?? stderr.trim()}` }, () => undefined)
  else process.exitCode = spawnSync('unshare', ['--mount', '--propagation', 'private', process.execPath, fileURLToPath(import.meta.url)], { stdio: 'inherit', env: { ...process.env, [inside]: '1' } }).status ?? 1
} else {
  test('N07: a full or read-only file system of the data directory is bad, a nearly full one poor', async () => {
    using home = temporaryDir('doctor-space')
    const dir = join(home.dir, 'data')
    mkdirSync(dir)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=20m', 'none', dir])
    using _ = { [Symbol.dispose]: () => void execFileSync('umount', [dir]) }
    await using made = await fakeCloud({ dir })
    const spaceOf = async (): Promise<Finding[]> => {
      await using session = await made.cloud.open({ type: 'doctor' })
      return (await Array.fromAsync(session.output)).flatMap((frame) => (frame.type === 'finding' && frame.finding.check === 'space' ? [frame.finding] : []))
    }
    const states = async () => (await spaceOf()).map(({ state }) => state)
    assert.deepEqual(await states(), ['good'])
    writeFileSync(join(dir, 'volume', 'much'), Buffer.alloc(18 << 20))
    assert.deepEqual(await states(), ['poor'])
    writeFileSync(join(dir, 'volume', 'more'), Buffer.alloc(1_500_000))
    const [full] = await spaceOf()
    assert.equal(full?.state, 'bad')
    assert.match(full?.message ?? '', /0 MB of 20 MB free|1 MB of 20 MB free/)
    assert.ok(full?.remedy)
    execFileSync('mount', ['-o', 'remount,ro', dir])
    const findings = await spaceOf()
    execFileSync('mount', ['-o', 'remount,rw', dir])
    assert.match(findings.map(({ message }) => message).join(), /cannot be written: EROFS/)
  })
}
