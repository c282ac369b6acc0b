import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SessionFrame } from '../../model/session.ts'
import { rehearse } from '../rehearsal.ts'
import { envOf } from '../specimens.ts'
import { loginShell } from '../vm-terminal.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const begins = (vm = 'demo.0'): SessionFrame[] => [{ type: 'begin', vm, image: 'micro' }, { type: 'stdout', vm, data: bytes('# ') }]
const ends = (code: number, vm = 'demo.0'): SessionFrame => ({ type: 'exit', vm, code })

test('keys go to a terminal of this size, new sizes after them, and the status is that of the shell', async () => {
  const { status, out, err, cloud } = await rehearse('env shell demo.0', { frames: [...begins(), 500, ends(3)], keys: ['a\x03', '~'], resizes: [{ columns: 132, rows: 50 }], variables: { TERM: 'screen-256color' } })
  assert.deepEqual(cloud.opened, [{ type: 'exec', vms: { envs: ['demo'], indices: [0] }, command: loginShell, stdin: true, tty: { columns: 100, rows: 30, term: 'screen-256color' } }])
  assert.deepEqual(cloud.inputs, [{ type: 'size', columns: 132, rows: 50 }, { type: 'stdin', data: bytes('a\x03') }, { type: 'stdin', data: bytes('~') }])
  assert.deepEqual([status, out, err], [3, '# ', '~. at the beginning of a line leaves.\r\n(keyboard given back)'])
})

test('~. at the beginning of a line leaves, and is not sent', async () => {
  const { status, err, cloud } = await rehearse('env shell demo -m 0 --use-ssh -- vi /etc/hosts', { frames: [...begins(), 60_000], keys: ['x~.\r', '~', '.', 'y'], variables: { TERM: '$(evil)' } })
  assert.deepEqual(cloud.opened, [{ type: 'exec', vms: { envs: ['demo'], indices: [0] }, command: { argv: ['vi', '/etc/hosts'] }, stdin: true, via: 'ssh', tty: { columns: 100, rows: 30 } }])
  assert.deepEqual(cloud.inputs, [{ type: 'stdin', data: bytes('x~.\r') }])
  assert.deepEqual([status, err], [0, '~. at the beginning of a line leaves.\r\n(keyboard given back)\n'])
})

test('a connection that breaks is said, and the keyboard given back', async () => {
  const { status, err } = await rehearse('env shell demo.0', { frames: [...begins(), { broken: { code: 'unavailable', message: 'the connection broke' } }], keys: ['a'] })
  assert.equal(status, 14)
  assert.match(err, /\(keyboard given back\)tt: the connection broke/)
})

test('Ctrl-C before the keyboard is taken, or a signal, ends it with the keyboard given back', async () => {
  const { status, err } = await rehearse('env shell demo.0', { frames: [...begins(), 60_000], keys: ['a'], interruptMs: 1000 })
  assert.equal(status, 16)
  assert.match(err, /\(keyboard given back\)tt: interrupted/)
})

test('F06: --interactive takes one VM after the other, says which, and goes on after one that fails', async () => {
  const demo = envOf('demo')
  const { status, out, err, cloud } = await rehearse('env run demo --interactive', { env: [demo], frames: [...begins(), ends(4)], keys: ['x'] })
  assert.deepEqual(cloud.opened.map((request) => ('vms' in request ? request.vms : undefined)), [{ envs: ['demo'], indices: [0] }, { envs: ['demo'], indices: [1] }])
  assert.ok(cloud.opened.every((request) => request.type === 'exec' && request.tty?.columns === 100 && request.command.shell === loginShell.shell))
  assert.deepEqual([status, out], [4, '# # '])
  assert.match(err, /^~\. at the beginning of a line leaves\.\n== demo\.0 \(micro\)\n\(keyboard given back\)== demo\.1 \(micro\)\n\(keyboard given back\)$/)
})

test('leaving one leaves them all', async () => {
  const { status, cloud } = await rehearse('env run demo -i --cmd top', { env: [envOf('demo')], frames: [...begins(), 60_000], keys: ['~.'] })
  assert.deepEqual([status, cloud.opened.length], [0, 1])
})

test('what cannot be is refused before anything is opened', async () => {
  const several = envOf('demo')
  for (const [line, code, pattern] of [
    ['env shell demo', 2, /a shell is one VM's, and demo has several \(invalid\)\n {2}name one: `tt env shell demo\.0`; or all in turn: `tt env run demo --interactive`/],
    ['env shell demo.0 --json', 2, /has no --json/],
    ['env shell demo.0 --', 2, /no program follows --/],
    ['env shell demo.0 --via=telnet', 2, /--via is "telnet", allowed is rexec, ssh, qga, engine/],
    ['env run demo -i --stdin', 2, /either --interactive or --stdin/],
    ['env run demo -i --stream', 2, /either --interactive or --stream/],
  ] as const) {
    const { status, err, cloud } = await rehearse(line, { env: [several], keys: [] })
    assert.deepEqual([status, cloud.opened], [code, []], line)
    assert.match(err, pattern)
  }
  const { status, cloud } = await rehearse('env shell demo.0', {})
  assert.deepEqual([status, cloud.opened], [10, []], 'no keyboard')
})
