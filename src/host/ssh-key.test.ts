import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { run } from '../base/run.ts'
import { realWorld } from '../base/world.ts'
import { newSshKey } from './ssh-key.ts'

it('A05: a key that OpenSSH itself reads, and no two are alike', async (t) => {
  const [one, other] = [newSshKey('tt-a', realWorld), newSshKey('tt-ab', realWorld)]
  assert.notEqual(one.publicKey.split(' ')[1], other.publicKey.split(' ')[1])
  const dir = mkdtempSync(join(tmpdir(), 'tt-ways-'))
  t.after(() => rmSync(dir, { recursive: true }))
  for (const key of [one, other]) {
    const file = join(dir, key === one ? 'one' : 'other')
    writeFileSync(file, key.privateKey, { mode: 0o600 })
    const { code, stdout, stderr } = await run(['ssh-keygen', '-y', '-P', '', '-f', file])
    assert.deepEqual([code, stderr, stdout.trim()], [0, '', key.publicKey])
  }
})
