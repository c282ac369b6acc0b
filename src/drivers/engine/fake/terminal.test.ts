import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { plainEffects } from '../../../base/effects.ts'
import { latest } from '../../../base/latest.ts'
import { silentLog } from '../../../base/log.ts'
import { queue } from '../../../base/queue.ts'
import { realWorld } from '../../../base/world.ts'
import type { Command, TerminalSize } from '../../../model/session.ts'
import { fake } from '../fake.ts'

/** A command at a terminal of a fake guest, with what it has shown. */
async function typing(command: Command) {
  const dir = mkdtempSync(join(tmpdir(), 'tt-fake-terminal-'))
  const engine = await fake({ dir, mark: 'fakes', world: realWorld, effects: plainEffects(), log: silentLog }, {})
  await engine.start({ id: 'env.0', hostname: 'sketch', cpu: 1, memMb: 16, arch: 'amd64', boot: 'kernel', files: {}, disks: [], nics: [], ports: [], options: {} })
  const stdin = queue<Uint8Array>()
  const sizes = latest<TerminalSize>()
  let shown = ''
  const exit = engine.channel!('env.0').exec(command, { tty: { columns: 80, rows: 24, term: 'vt100' }, stdin, sizes, output: (stream, bytes) => void (shown += stream === 'stdout' ? Buffer.from(bytes).toString() : '(stderr)') }, { signal: AbortSignal.timeout(10_000) })
  exit.catch(() => undefined)
  return {
    exit,
    sizes,
    type: (text: string) => stdin.push(Buffer.from(text)),
    hangUp: () => stdin.end(),
    /** Waits for the text among what is shown from now on. */
    async sees(text: string) {
      for (const end = Date.now() + 5000; !shown.includes(text); await new Promise((resolve) => setTimeout(resolve, 2))) assert.ok(Date.now() < end, `${JSON.stringify(text)} does not come, there is ${JSON.stringify(shown)}`)
      shown = shown.slice(shown.indexOf(text) + text.length)
    },
    async [Symbol.asyncDispose]() {
      await engine[Symbol.asyncDispose]()
      rmSync(dir, { recursive: true })
    },
  }
}

test('a shell at a terminal: prompt, echo, state from line to line, and its status', async () => {
  await using at = await typing({ argv: ['sh', '-l'] })
  await at.sees('# ')
  at.type('cd /tmp\r')
  await at.sees('cd /tmp\r\n# ')
  at.type('pwd; echo $TERM >&2\r')
  await at.sees('/tmp\r\nvt100\r\n# ')
  at.type('echo ab\x7fc\r')
  await at.sees('b\b \bc\r\nac\r\n# ')
  at.type('exit 3\r')
  assert.deepEqual(await at.exit, { code: 3 })
})

test('it knows its size, and the next one', async () => {
  await using at = await typing({ shell: 'test -t 0 && tty && exec "$SHELL" -l' })
  await at.sees('/dev/pts/0\r\n# ')
  at.type('stty size\r')
  await at.sees('24 80\r\n')
  at.sizes.tell({ columns: 132, rows: 50 })
  await new Promise((resolve) => setTimeout(resolve, 5))
  at.type('stty size\r')
  await at.sees('50 132\r\n')
  at.type('\x04')
  assert.deepEqual(await at.exit, { code: 0 })
})

test('keys are signals to what runs in it, the end-of-file key ends its input, and the shell goes on', async () => {
  await using at = await typing({ argv: ['sh'] })
  await at.sees('# ')
  at.type('half a li\x03')
  await at.sees('^C\r\n# ')
  at.type('sleep 60\r')
  await at.sees('sleep 60\r\n')
  at.type('\x03')
  await at.sees('^C\r\n# ')
  at.type('echo $?; cat\r')
  await at.sees('130\r\n')
  at.type('said\r')
  await at.sees('said\r\nsaid\r\n')
  at.type('\x04')
  await at.sees('# ')
  at.hangUp()
  assert.deepEqual(await at.exit, { signal: 'SIGHUP' })
})

test('a program that is no shell is ended by them', async () => {
  await using at = await typing({ argv: ['sleep', '60'] })
  at.type('\x1c')
  assert.deepEqual(await at.exit, { signal: 'SIGQUIT' })
})

test('without one there is none', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tt-fake-terminal-'))
  await using engine = await fake({ dir, mark: 'fakes', world: realWorld, effects: plainEffects(), log: silentLog }, {})
  await engine.start({ id: 'env.0', hostname: 'sketch', cpu: 1, memMb: 16, arch: 'amd64', boot: 'kernel', files: {}, disks: [], nics: [], ports: [], options: {} })
  let said = ''
  const exit = await engine.channel!('env.0').exec({ shell: 'test -t 0 || echo none; tty; stty size; sh' }, { output: (stream, bytes) => void (said += `${stream}: ${Buffer.from(bytes).toString()}`) })
  rmSync(dir, { recursive: true })
  assert.deepEqual(exit, { code: 1 })
  assert.equal(said, 'stdout: none\nstdout: not a tty\nstderr: stty: standard input: Inappropriate ioctl for device\nstderr: sh: only «sh -c TEXT» is known to a fake guest\n')
})
