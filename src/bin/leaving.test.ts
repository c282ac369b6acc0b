import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'

describe('a program that leaves without waiting', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tt-leaving-'))
  after(() => rmSync(dir, { recursive: true, force: true }))
  const program = (body: string): string => {
    const file = join(dir, `${Math.random()}.mjs`)
    writeFileSync(file, `import { leaveWithoutWaiting } from ${JSON.stringify(join(import.meta.dirname, 'leaving.ts'))}\nleaveWithoutWaiting()\n${body}\n`)
    return `'${process.execPath}' --disable-warning=ExperimentalWarning '${file}'`
  }
  const sh = (text: string) => new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => execFile('/bin/sh', ['-c', text], { maxBuffer: 1 << 24 }, (fault, stdout, stderr) => resolve({ code: Number(fault?.code ?? 0), stdout, stderr })))

  it('keeps its status, however it ends, and all that it said', async () => {
    assert.deepEqual(await sh(program(`process.stdout.write('x'.repeat(300000)); process.exitCode = 9`)), { code: 9, stdout: 'x'.repeat(300_000), stderr: '' })
    assert.equal((await sh(program('process.exit(0)'))).code, 0)
    assert.equal((await sh(program('process.exit(143)'))).code, 143)
    const thrown = await sh(program(`throw new Error('as it is')`))
    assert.equal(thrown.code, 1)
    assert.match(thrown.stderr, /as it is/)
  })
  it('gives pipes back as they were to whoever shares them', async () => {
    const out = await sh(`( ( ${program(`process.stdout.write('said\\n')`)}; dd if=/dev/zero bs=64k count=20 2>&1 >&3 ) 3>&1 | (sleep 1; wc -c) ) 2>&1`)
    assert.ok(Number(out.stdout.trim()) >= 20 * 65_536, out.stdout)
    const input = await sh(`(echo first; sleep 1; echo rest) | ( ${program(`process.stdin.once('data', () => process.exit(0))`)}; cat ) 2>&1`)
    assert.equal(input.stdout, 'rest\n')
  })
})
