import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { processesWith, processOf } from '../../src/base/processes.ts'

const dir = mkdtempSync(join(tmpdir(), 'tt-leash-'))
after(() => rmSync(dir, { recursive: true, force: true }))
// Where every user may run it, which a checkout need not be.
const leash = join(dir, 'leash')
copyFileSync(join(import.meta.dirname, '../../build/native/leash'), leash)
chmodSync(dir, 0o755)
chmodSync(leash, 0o755)

const held = (script: string, options: { uid?: number; gid?: number } = {}) => spawnSync(leash, ['--', 'sh', '-c', script], { encoding: 'utf8', ...options })
const tried = held('true')
const skip = tried.status === 0 ? false : `no namespaces can be made here: ${tried.stderr}`
const isRoot = process.getuid?.() === 0

/** A leash on a shell that has said `ready`; its processes carry a word of their own. */
async function running(script: string) {
  const word = `w${process.pid}-${Math.random().toString(36).slice(2)}`
  const child = spawn(leash, ['--', 'sh', '-c', `${script.replaceAll('WORD', word)}; echo ready; while :; do wait; sleep 0.1; done`, word], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exit = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
  while (!said.includes('ready')) await Promise.race([once(child.stdout, 'data'), exit.then(() => assert.fail(`it ended and said ${said}`))])
  return { child, exit, said: () => said, living: () => processesWith(word).map(({ pid }) => pid) }
}

async function until(holds: () => boolean, what: string): Promise<void> {
  for (let tries = 0; !holds(); tries++) {
    assert.ok(tries < 100, what)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

describe('a leash', { skip }, () => {
  test('shows the inside a /proc of its own and names the outermost process', () => {
    const { stdout, status } = held('echo $PPID; ls -d /proc/[0-9]*; echo $TT_LEASH; exit 7')
    assert.equal(status, 7)
    const [parent, first, second, third, ...rest] = stdout.trim().split('\n')
    assert.deepEqual([parent, first, second], ['1', '/proc/1', '/proc/2'])
    const own = [third, ...rest].at(-1) ?? ''
    assert.match(own, /^\d+ \d+$/)
  })

  test('the pid and start time it names are those outside', async () => {
    const { child, exit, said } = await running('echo leash=$TT_LEASH=')
    const found = processOf(child.pid ?? 0)
    assert.ok(said().includes(`leash=${found?.pid} ${found?.startTime}=`), said())
    child.kill('SIGKILL')
    await exit
  })

  test('ends as its program did', () => {
    for (const [script, status, signal] of [['exit 0', 0, null], ['exit 9', 9, null], ['kill -9 $$', null, 'SIGKILL'], ['kill -TERM $$', null, 'SIGTERM']] as const) {
      const ran = held(script)
      assert.deepEqual([ran.status, ran.signal], [status, signal], script)
    }
  })

  test('the inside is a process group of its own, so that a terminal reaches the program by the leash alone', () => {
    assert.equal(held('cut -d" " -f5 /proc/$$/stat').stdout, '1\n')
  })

  test('it hears of ends where its caller had chosen not to', () => {
    const ran = spawnSync('env', ['--ignore-signal=CHLD', leash, '--', 'sh', '-c', 'exit 5'], { timeout: 10_000 })
    assert.equal(ran.status, 5)
  })

  test('what its program started ends with it, in a session of its own too', async () => {
    const { child, exit, living } = await running('setsid sh -c "sleep 1000; : WORD" & trap "exit 3" TERM')
    await until(() => living().length === 4, 'the leash, its first, the shell and what that started')
    child.kill('SIGTERM')
    assert.deepEqual(await exit, [3, null])
    assert.deepEqual(living(), [])
  })

  test('H12: kill -9 of the leash ends everything inside', async () => {
    const { child, exit, living } = await running('setsid sh -c "sleep 1000; : WORD" & trap "" TERM INT HUP')
    await until(() => living().length === 4, 'the leash, its first, the shell and what that started')
    child.kill('SIGKILL')
    assert.deepEqual(await exit, [null, 'SIGKILL'])
    await until(() => living().length === 0, `${living().length} processes live on`)
  })

  test('passes signals on, once each', async () => {
    const { child, exit, said } = await running('for s in HUP INT USR1 USR2; do trap "echo got-$s" $s; done; trap "exit 0" TERM')
    for (const [signal, word] of [['SIGHUP', 'got-HUP'], ['SIGINT', 'got-INT'], ['SIGUSR1', 'got-USR1'], ['SIGUSR2', 'got-USR2']] as const) {
      child.kill(signal)
      await until(() => said().includes(word), `${word} in ${said()}`)
    }
    child.kill('SIGTERM')
    assert.deepEqual(await exit, [0, null])
    assert.equal(said().match(/got-INT/g)?.length, 1)
  })

  test('takes in orphans, so that none stays a zombie', () => {
    const { stdout } = held('sh -c "sh -c \\"sleep 0.1\\" & exit"; sleep 0.4; grep -l "State:.Z" /proc/[0-9]*/status | wc -l')
    assert.equal(stdout.trim(), '0')
  })

  test('H17: works without root where users may make namespaces, or says what is missing', { skip: isRoot ? false : 'this run is without root already' }, () => {
    const ran = held('id -u; ls -d /proc/[0-9]* | wc -l', { uid: 65_534, gid: 65_534 })
    if (ran.status === 0) assert.match(ran.stdout, /^65534\n[3-5]\n$/)
    else assert.deepEqual([ran.status, /^leash: cannot [^\n]+\n$/.test(ran.stderr)], [126, true], ran.stderr)
  })
})

test('what cannot be done is one line and 126, or 127 for a program that is not there', () => {
  for (const [argv, status, says] of [[[], 126, /usage/], [['true'], 126, /usage/], [['--'], 126, /usage/]] as const) {
    const ran = spawnSync(leash, argv, { encoding: 'utf8' })
    assert.equal(ran.status, status)
    assert.match(ran.stderr, says)
  }
  if (skip) return
  const none = spawnSync(leash, ['--', join(dir, 'none')], { encoding: 'utf8' })
  assert.deepEqual([none.status, none.stderr], [127, `leash: cannot run ${join(dir, 'none')}: No such file or directory\n`])
})
