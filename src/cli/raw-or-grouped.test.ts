import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SessionFrame } from '../model/session.ts'
import { type Stage, rehearse } from './rehearsal.ts'
import { envOf } from './specimens.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const began = (vm: string, image = 'micro'): SessionFrame => ({ type: 'begin', vm, image })
const said = (vm: string, text: string, type: 'stdout' | 'stderr' = 'stdout'): SessionFrame => ({ type, vm, data: bytes(text) })
const ended = (vm: string, code = 0): SessionFrame => ({ type: 'exit', vm, code })
const groups = (count: number, image = 'micro') => ({ image, digest: 'd', engine: 'qemu', first: 0, count, cpu: 1, memMb: 128, diskMb: 1024, ports: [] })
const one = envOf('one', { spec: { groups: [groups(1)] } })
const two = envOf('two', { spec: { groups: [groups(1), { ...groups(1, 'other'), first: 1 }] } })

const run = (words: string[], stage: Stage) => rehearse(['env', 'run', ...words, '-c', 'x'], { env: [one, two], ...stage })

test('one VM that says nothing is asked about by nobody', async () => {
  const { cloud, out, err, status } = await run(['one'], { frames: [began('one.0'), ended('one.0', 7)] })
  assert.deepEqual([cloud.calls, out, err, status], [[], '', '', 7])
})

test('one VM is passed on as it is, whether its index or its ENV says that it is one', async () => {
  const frames = (vm: string) => [began(vm), said(vm, '\0\xff a'), said(vm, 'e', 'stderr'), 10, said(vm, 'b'), ended(vm)]
  const byIndex = await run(['two', '-m', '1'], { frames: frames('two.1') })
  assert.deepEqual([byIndex.cloud.calls, byIndex.out, byIndex.err], [[], '\0\xff ab', 'e'])
  const byEnv = await run(['one'], { frames: frames('one.0') })
  assert.deepEqual([byEnv.cloud.calls, byEnv.out, byEnv.err], [['env.get one'], '\0\xff ab', 'e'])
  const byPrefix = await run(['two', '-s', 'OTH'], { frames: frames('two.1') })
  assert.deepEqual([byPrefix.cloud.calls, byPrefix.out], [['env.get two'], '\0\xff ab'])
})

test('where a second has begun nobody is asked', async () => {
  const { cloud, out } = await run(['two'], { frames: [began('two.0'), began('two.1'), said('two.0', 'a\n'), 10, ended('two.0'), ended('two.1')] })
  assert.deepEqual([cloud.calls, out], [[], '== two.0 (micro): exit 0\na\n== two.1 (micro): exit 0\n'])
})

test('a VM that speaks long before the second begins is in its group all the same', async () => {
  const { out } = await run(['two'], { frames: [began('two.0'), said('two.0', 'a\n'), 1000, began('two.1'), said('two.1', 'b\n'), ended('two.1'), said('two.0', 'c\n'), ended('two.0')] })
  assert.equal(out, '== two.1 (micro): exit 0\nb\n== two.0 (micro): exit 0\na\nc\n')
})

test('prefixes that mean two VMs group them from the first byte on', async () => {
  const { out } = await run(['two', '-s', 'micro,oth'], { frames: [began('two.0'), said('two.0', 'a\n'), 1000, ended('two.0'), began('two.1'), ended('two.1')] })
  assert.equal(out, '== two.0 (micro): exit 0\na\n== two.1 (micro): exit 0\n')
})

test('where the number cannot be asked, output is grouped', async () => {
  const { out, status } = await run(['one'], { refusals: { 'env.get one': [{ code: 'unavailable', message: 'gone' }] }, frames: [began('one.0'), said('one.0', 'a'), 1000, ended('one.0')] })
  assert.deepEqual([out, status], ['== one.0 (micro): exit 0\na', 0])
})

test('what a VM said is there before it says more', async () => {
  const { pieces } = await run(['one'], { frames: [began('one.0'), said('one.0', 'a'), 10_000, ended('one.0')] })
  assert.ok(pieces.length === 1 && pieces[0]!.ms < 100)
})

test('what comes before the answer waits whole and in order', async () => {
  const many = Array.from({ length: 300 }, (_, at) => said('one.0', `${String(at).padStart(8192, '.')}\n`))
  const { out } = await run(['one'], { frames: [began('one.0'), ...many, ended('one.0')] })
  assert.equal(out, many.map((frame) => ('data' in frame ? new TextDecoder().decode(frame.data) : '')).join(''))
})

test('parts that fill the memory are written out early and lose nothing', async () => {
  const megabyte = `${'x'.repeat(1024 * 1024 - 1)}\n`
  const { out } = await run(['two'], { frames: [began('two.0'), began('two.1'), ...Array.from({ length: 70 }, () => said('two.0', megabyte)), said('two.1', 'b\n'), ended('two.1'), ended('two.0')] })
  const lines = out.split('\n')
  assert.deepEqual(lines.filter((line) => line.startsWith('==')), ['== two.0 (micro): runs on', '== two.1 (micro): exit 0', '== two.0 (micro): exit 0'])
  assert.equal(lines.filter((line) => line === megabyte.slice(0, -1)).length, 70)
})

test('lines behind names are whole, and one that never ends is broken', async () => {
  const { out } = await rehearse(['env', 'run', 'two', '--prefix', '-c', 'x'], { frames: [began('two.0'), began('two.1'), said('two.0', 'a'), said('two.1', 'b\nc'), said('two.0', 'A\n'), said('two.1', 'x'.repeat(300_000)), said('two.1', 'y\n'), ended('two.0'), ended('two.1')] })
  assert.equal(out, `two.1: b\ntwo.0: aA\ntwo.1: c${'x'.repeat(300_000)}\ntwo.1: y\n`)
})

test('the status is the highest of all', async () => {
  const statusOf = async (...ends: SessionFrame[]) => (await run(['two'], { frames: [began('two.0'), began('two.1'), ...ends] })).status
  assert.equal(await statusOf(ended('two.0'), ended('two.1')), 0)
  assert.equal(await statusOf(ended('two.0', 3), ended('two.1', 1)), 3)
  assert.equal(await statusOf(ended('two.0', 1), { type: 'problem', vm: 'two.1', problem: { code: 'timeout', message: 'it took too long' } }), 15)
  assert.equal(await statusOf(ended('two.0', 1), { type: 'exit', vm: 'two.1', signal: 'TERM' }), 143)
  assert.equal(await statusOf(ended('two.0', 0), { type: 'problem', vm: 'two.1', problem: { code: 'no such code' as 'failed', message: 'x' } }), 1)
  assert.equal(await statusOf(ended('two.0', 0)), 14)
  assert.equal(await statusOf(ended('two.0', 0), ended('two.1', 0), { type: 'problem', problem: { code: 'unavailable', message: 'a host is gone' } }), 14)
})

test('a command arrives unchanged, with all that was said about it', async () => {
  const shell = 'echo "a  b" \'c\'\n\t$HOME ä ; exit 3'
  const { cloud } = await rehearse(['env', 'run', 'a', 'b', 'a', '-c', shell, '-s', 'micro,Fire:x', '-m', '3', '-m', '0,3', '-t', '1.5', '--env', 'A=b=,c', '--env', 'E=', '--cwd', '/tmp'], {})
  assert.deepEqual(cloud.opened, [{ type: 'exec', vms: { envs: ['a', 'b'], prefixes: ['micro', 'Fire:x'], indices: [3, 0] }, command: { shell }, env: { A: 'b=,c', E: '' }, cwd: '/tmp', timeoutMs: 1500 }])
  const argv = ['ls', '-l', '', '--json', 'a b']
  assert.deepEqual((await rehearse(['env', 'run', 'a', '--', ...argv], {})).cloud.opened, [{ type: 'exec', vms: { envs: ['a'] }, command: { argv } }])
})

test('standard input goes to all, and ends', async () => {
  const { cloud } = await rehearse('env run one --stdin -c cat', { stdin: ['a', 'b'], frames: [began('one.0'), 1000, ended('one.0')] })
  assert.deepEqual([cloud.opened[0]?.type === 'exec' && cloud.opened[0].stdin, cloud.inputs], [true, [{ type: 'stdin', data: bytes('a') }, { type: 'stdin', data: bytes('b') }, { type: 'eof' }]])
})

test('Ctrl-C ends it', async () => {
  const { status, err } = await run(['one'], { interruptMs: 100, frames: [began('one.0'), 10_000, ended('one.0')] })
  assert.deepEqual([status, err], [16, 'tt: interrupted (cancelled)\n'])
  const deaf = await run(['one'], { interruptMs: 100, deaf: true, frames: [began('one.0'), 10_000, ended('one.0')] })
  assert.deepEqual([deaf.status, deaf.err], [16, 'tt: interrupted (cancelled)\n'])
})
