import assert from 'node:assert/strict'
import { test } from 'node:test'
import { manualWorld } from '../../../base/manual-world.ts'
import { inputOf, type Outcome, sayer } from './process.ts'
import { runScript } from './shell.ts'

async function ran(script: string, { env = {}, stdin = [] }: { env?: Record<string, string>; stdin?: string[] } = {}): Promise<{ out: string; err: string } & Outcome> {
  const world = manualWorld()
  const said = { stdout: '', stderr: '' }
  const { signal } = new AbortController()
  const say = sayer(world, signal, (stream, bytes) => void (said[stream] += Buffer.from(bytes).toString()))
  const given = async function* () {
    for (const text of stdin) yield Buffer.from(text)
  }
  const outcome = await runScript(script, { world, hostname: 'env-0', env: new Map(Object.entries({ PWD: '/', ...env })), input: inputOf(given()), say, signal })
  return { out: said.stdout, err: said.stderr, ...outcome }
}

test('statuses follow from the last command, or from exit', async () => {
  for (const [script, code] of [['true', 0], ['false', 1], ['false; true', 0], ['true; false', 1], ['exit 7; true', 7], ['false && exit 3; exit 4', 4], ['false || exit 3', 3], ['false; exit $?', 1], [':', 0], ['sh -c "exit 5"; exit $?', 5], ['sh -c "exit 5"', 5]] as const)
    assert.deepEqual(await ran(script), { out: '', err: '', code }, script)
})

test('variables are split at blanks unless they are quoted, and vanish when they are empty', async () => {
  const env = { V: '  a  b ', E: '', X: 'x' }
  for (const [script, out] of [
    ['echo $V', 'a b\n'],
    ['echo "$V"', '  a  b \n'],
    ['echo [$V]', '[ a b ]\n'],
    ['echo 1$X"2"$E', '1x2\n'],
    ['echo a $E b "$E" c', 'a b  c\n'],
    ['echo $NONE$E', '\n'],
    ['$E echo $X', 'x\n'],
    ['echo -n a; echo $$', 'a100\n'],
  ] as const)
    assert.equal((await ran(script, { env })).out, out, script)
})

test('streams go where they are sent', async () => {
  assert.deepEqual(await ran('echo a >&2; echo b; nothing 2>&1; echo c >/dev/null; nothing >/dev/null 2>&1'), { out: 'b\nsh: nothing: not found\n', err: 'a\n', code: 127 })
})

test('a program that is not there is 127, and the host’s are not there', async () => {
  for (const name of ['ls', '/bin/sh', 'node', 'constructor', '__proto__', 'toString']) assert.deepEqual(await ran(name), { out: '', err: `sh: ${name}: not found\n`, code: 127 })
  assert.deepEqual(await ran('cat /etc/passwd'), { out: '', err: 'cat: /etc/passwd: No such file or directory\n', code: 1 })
})

test('what is not understood ends the script before anything ran', async () => {
  const { out, err, ...end } = await ran('echo a; echo b | cat')
  assert.deepEqual([out, end], ['', { code: 2 }])
  assert.match(err, /syntax error: «\| cat»/)
})

test('input is taken once, by whoever asks first', async () => {
  assert.equal((await ran('head -c 3; echo; cat; cat', { stdin: ['abcd', 'ef'] })).out, 'abc\ndef')
  assert.equal((await ran('head -c 2 /dev/zero; cat -', { stdin: ['x'] })).out, '\0\0x')
})

test('a shell can end itself by a signal, and nothing else', async () => {
  assert.deepEqual(await ran('echo a; kill $$; echo b'), { out: 'a\n', err: '', signal: 'SIGTERM' })
  assert.deepEqual(await ran('kill -9 $$'), { out: '', err: '', signal: 'SIGKILL' })
  assert.deepEqual(await ran('kill -SIGHUP $$'), { out: '', err: '', signal: 'SIGHUP' })
  assert.deepEqual(await ran('kill -CHLD $$; echo b'), { out: 'b\n', err: '', code: 0 })
  assert.deepEqual(await ran('kill -9 1'), { out: '', err: 'kill: 1: No such process\n', code: 1 })
  assert.deepEqual(await ran('kill -NO $$'), { out: '', err: 'kill: -NO: unknown signal\n', code: 1 })
})

test('a guest knows its name, its time and where it is', async () => {
  assert.equal((await ran('hostname; uname; uname -a; uname -nm')).out, 'env-0\nfake-guest\nfake-guest env-0 1 nothing runs here none\nenv-0 none\n')
  assert.equal((await ran('date; date +%s')).out, 'Thu, 01 Jan 2026 00:00:00 GMT\n1767225600\n')
  assert.equal((await ran('pwd; cd /tmp; pwd; cd /nowhere; pwd')).out, '/\n/tmp\n/tmp\n')
  assert.equal((await ran('env', { env: { A: 'b' } })).out, 'PWD=/\nA=b\n')
})
