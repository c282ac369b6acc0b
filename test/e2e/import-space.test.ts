import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { fakeCloud, temporaryDir } from '../fake-cloud.ts'
import { bootDisk, converted, disks, imported, MiB, shelf } from '../import-ground.ts'

// Imports to a disk without room: a small file system, mounted where nobody else sees it.

const inside = 'TT_TEST_MOUNTS'

if (process.env[inside] === '1') suite()
else {
  const { status, stderr, error } = spawnSync('unshare', ['--mount', 'true'], { encoding: 'utf8' })
  if (status !== 0) test('a disk without room', { skip: `no mount namespace can be made here: ${error?.message ?? stderr.trim()}` }, () => undefined)
  else process.exitCode = spawnSync('unshare', ['--mount', process.execPath, fileURLToPath(import.meta.url)], { stdio: 'inherit', env: { ...process.env, [inside]: '1' } }).status ?? 1
}

function suite() {
  test('a disk without room: said beforehand where that can be known, and when it happens', { timeout: 60_000 }, async () => {
    using made = disks()
    using home = temporaryDir('import')
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m,mode=755', 'tmpfs', home.dir])
    try {
      const noise = made.raw('noise', Buffer.concat([bootDisk(2 * MiB), Buffer.from(Array.from({ length: 14 * MiB }, (_, at) => (at * 2_654_435_761) >>> 13))]))
      await assert.rejects(converted(noise, join(home.dir, 'out')), { code: 'exhausted', message: "the host's disk is full" })
      await assert.rejects(converted(noise, made.path('out'), { room: async () => 5 * MiB }), { code: 'exhausted', message: /it takes 17 MB once converted, and there is room for 5 MB/ })
      execFileSync('rm', [join(home.dir, 'out')])
      await using host = await fakeCloud({ dir: home.dir })
      const { problem } = await imported(host.cloud, { name: 'x' }, readFileSync(noise))
      assert.deepEqual([problem?.code, problem?.subject], ['exhausted', 'host/one'])
      assert.match(problem?.message ?? '', /16 MB are to come, and there is room for 0 MB/)
      assert.deepEqual(shelf(home.dir).images, [])
    } finally {
      execFileSync('umount', ['--lazy', home.dir])
    }
  })
}
