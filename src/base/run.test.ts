import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { run, runOk } from './run.ts'

test('what a program says, and how it ended', async () => {
  assert.deepEqual(await run(['sh', '-c', 'cat; echo two >&2; exit 3'], { input: 'one' }), { code: 3, signal: null, stdout: 'one', stderr: 'two\n' })
  await assert.rejects(runOk(['sh', '-c', 'echo why >&2; exit 3']), { message: 'sh ended with 3: why' })
})

test('it may have a user and open files of its own', { skip: process.getuid?.() !== 0 && 'only root can run programs as others' }, async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tt-run-'))
  const fd = openSync(join(dir, 'file'), 'w')
  const { stdout } = await run(['sh', '-c', 'id -u; id -g; id -G; echo written >&3'], { user: { uid: 61_234, gid: 61_235 }, fds: [fd] })
  closeSync(fd)
  assert.equal(stdout, '61234\n61235\n61235\n')
  assert.equal(readFileSync(join(dir, 'file'), 'utf8'), 'written\n')
  rmSync(dir, { recursive: true })
})

test('a limit of time, or none', async () => {
  await assert.rejects(run(['sleep', '10'], { timeoutMs: 20 }), { message: 'sleep did not end in time' })
  assert.equal((await run(['sleep', '0.05'], { timeoutMs: 0 })).code, 0)
  await assert.rejects(run(['sleep', '10'], { signal: AbortSignal.timeout(20) }))
})

test('what cannot be started rejects, whatever way the system says so', async () => {
  await assert.rejects(run(['no-such-program']), { code: 'ENOENT' })
  await assert.rejects(run(['true', 'x'.repeat(4 << 20)]), { code: 'E2BIG' })
  await assert.rejects(run(['/dev/null']), { code: 'EACCES' })
})

test('one that was not started keeps nobody waiting', () => {
  const script = `import { run } from ${JSON.stringify(import.meta.resolve('./run.ts'))}; await run(['no-such-program']).catch(() => undefined)`
  const { status, error } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], { timeout: 15_000 })
  assert.deepEqual([status, error], [0, undefined])
})
