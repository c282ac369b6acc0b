import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Ground } from './ground.ts'

/** Part of the suite every engine passes: what a plan's seed says is for its guest alone. */
export function seeds(it: (what: string, run: (on: Ground) => Promise<void>) => void) {
  const secret = 'password-of-seed'
  it('[J05] a seed comes with the guest, is read by no other user and stands in no argument, is replaced by the next, and goes with the guest', async (on) => {
    const engine = await on.engine()
    const plan = on.plan('sown.0')
    await engine.start({ ...plan, seed: { 'meta-data': 'instance-id: sown\n', 'user-data': `#cloud-config\npassword: ${secret}-1\n` } })
    assert.equal((await engine.inspect('sown.0')).state, 'running')
    for (const { path, mode } of filesWith(on.dir, secret)) assert.equal(mode & 0o077, 0, `${path} has the mode ${mode.toString(8)}`)
    assert.doesNotMatch(argumentsOfAll(), new RegExp(secret))

    await engine.stop('sown.0', 20)
    await engine.start({ ...plan, seed: { 'meta-data': 'instance-id: sown\n' } })
    assert.deepEqual(filesWith(on.dir, secret), [], 'a seed that was replaced is gone')
    await engine.stop('sown.0', 20)
    await engine.start(plan)
    assert.deepEqual(filesWith(on.dir, 'instance-id'), [], 'and so is one that there is none of any more')
    await engine.destroy('sown.0')
    assert.deepEqual(on.traces(), [])
  })

  test('seeds: what this suite finds secrets with does find them', () => {
    assert.ok(filesWith(import.meta.dirname, secret).length > 0)
    assert.match(argumentsOfAll(), /node/)
  })
}

function filesWith(dir: string, text: string): { path: string; mode: number }[] {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name)
    if (entry.isDirectory()) return filesWith(path, text)
    return entry.isFile() && readFileSync(path, 'latin1').includes(text) ? [{ path, mode: statSync(path).mode & 0o777 }] : []
  })
}

const argumentsOfAll = () => readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map((pid) => argumentsOf(pid)).join('\n')

function argumentsOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1')
  } catch {
    return '' // It has ended.
  }
}
