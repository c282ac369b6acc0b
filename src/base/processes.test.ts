import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { plainEffects } from './effects.ts'
import { argvOf, ended, isAlive, processesWith, processOf, signalProcess, spawnDetached } from './processes.ts'
import { randomHex, realWorld } from './world.ts'

const effects = plainEffects()

/** A child, and a promise of its end that was made before it can come. */
function start(program: string, args: string[]) {
  const child = spawn(program, args)
  return { child, pid: child.pid ?? assert.fail(), exit: new Promise((resolve) => child.once('exit', resolve)) }
}

test('a process is known by pid and start time', async () => {
  const self = processOf(process.pid)
  assert(self && isAlive(self))
  // Clock ticks are hundredths of a second on Linux, and this process is young.
  const ageSeconds = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) - self.startTime / 100
  assert(ageSeconds >= -0.02 && ageSeconds < 120, `it seems ${ageSeconds} s old`)
  assert.equal(isAlive({ ...self, startTime: self.startTime + 1 }), false)
  assert.equal(processOf(0), undefined)
  assert.equal(processOf(2 ** 22 + 1), undefined)
})

test('a name with parentheses and blanks does not shift the fields', async () => {
  const { child, pid, exit } = start('sh', ['-c', "printf ') R 1 2 3' > /proc/self/comm; read line"])
  await realWorld.sleep(50)
  const found = processOf(pid)
  assert(readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith(') R 1'))
  assert(found && found.startTime > 1000)
  child.stdin.end()
  await exit
})

test('one that ended and was not looked at is dead', async () => {
  // The parent becomes a sleep, which never looks at its child; only then the child is let go.
  const parent = spawn('sh', ['-c', 'sh -c "read line <&3" & echo $!; exec sleep 60 3<&-'], { stdio: ['ignore', 'pipe', 'inherit', 'pipe'] })
  const exit = new Promise((resolve) => parent.once('exit', resolve))
  const pid = Number(await new Promise((resolve) => parent.stdout?.once('data', (text) => resolve(String(text)))))
  const reads = (file: string, text: string) => readFileSync(file, 'utf8').includes(text)
  while (!reads(`/proc/${parent.pid}/comm`, 'sleep')) await realWorld.sleep(5)
  assert.equal(processOf(pid)?.pid, pid)
  parent.stdio[3]?.destroy()
  while (!reads(`/proc/${pid}/stat`, ' Z ')) await realWorld.sleep(5)
  assert.equal(processOf(pid), undefined)
  parent.kill('SIGKILL')
  await exit
})

test('processes are found by a text in their arguments, and this one never is', async () => {
  const text = `tt-${randomHex(realWorld, 6)}`
  const { child, pid, exit } = start('sh', ['-c', 'read line', `${text} with blanks`, 'more'])
  const found = processesWith(text)
  assert.deepEqual(found.map(({ pid, argv }) => ({ pid, argv })), [{ pid, argv: ['sh', '-c', 'read line', `${text} with blanks`, 'more'] }])
  assert.deepEqual(argvOf(pid), found[0]?.argv)
  child.stdin.end()
  await exit
  assert.deepEqual(processesWith(text), [])
  assert.equal(argvOf(pid), undefined)
})

test('a signal reaches that very process and no other with its pid', async () => {
  const { pid, exit } = start('sleep', ['60'])
  const self = processOf(pid) ?? assert.fail()
  assert.equal(signalProcess({ ...self, startTime: self.startTime - 1 }, 'SIGKILL', effects), false)
  assert(isAlive(self))
  assert.equal(await ended(self, 20, { world: realWorld }), false)
  await assert.rejects(ended(self, 1000, { world: realWorld, signal: AbortSignal.abort(new Error('enough')) }), /enough/)
  assert.equal(signalProcess(self, 'SIGKILL', effects), true)
  assert.equal(await ended(self, 2000, { world: realWorld }), true)
  await exit
  assert.equal(signalProcess(self, 'SIGKILL', effects), false)
})

test('a detached program writes where it was told, tells how it ended, and needs not exist', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tt-processes-'))
  const outputFd = openSync(join(dir, 'out'), 'a')
  const run = (...argv: [string, ...string[]]) => spawnDetached(argv, { env: { PATH: '/usr/bin:/bin', WORD: 'here' }, outputFd })
  assert.equal(await run('sh', '-c', 'echo $WORD $HOME; echo no >&2; exit 3').ended, 'it ended with status 3')
  assert.equal(readFileSync(join(dir, 'out'), 'utf8'), 'here\nno\n')
  assert.equal(await run('sh', '-c', 'kill -9 $$').ended, 'it was ended by SIGKILL')
  const missing = run(join(dir, 'none'))
  assert.equal(missing.pid, undefined)
  assert.match(await missing.ended, /ENOENT/)
  closeSync(outputFd)
  rmSync(dir, { recursive: true })
})
