import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SessionFrame } from '../../model/session.ts'
import { rehearse } from '../rehearsal.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const talks: SessionFrame[] = [{ type: 'begin', vm: 'demo.0', image: 'micro' }, { type: 'stdout', vm: 'demo.0', data: bytes('login: ') }]

test('keys go to the guest until Ctrl-], and the keyboard is given back', async () => {
  const { status, out, err, cloud } = await rehearse('env console demo -m 0', { frames: [...talks, 60_000], keys: ['a\x03', 'b\x1dc', 'd'] })
  assert.deepEqual(cloud.opened, [{ type: 'console', vms: { envs: ['demo'], indices: [0] }, scrollbackBytes: 65_536 }])
  assert.deepEqual(cloud.inputs, [{ type: 'stdin', data: bytes('a\x03') }, { type: 'stdin', data: bytes('b') }])
  assert.deepEqual([status, out, err], [0, 'login: ', 'Ctrl-] leaves.\r\n(keyboard given back)\n'])
})

test('a guest that ends ends it, with its status', async () => {
  const { status, err } = await rehearse('env console demo', { frames: [...talks, { type: 'problem', vm: 'demo.0', problem: { code: 'unavailable', message: 'the VM has stopped' } }], keys: [] })
  assert.equal(status, 14)
  assert.match(err, /\(keyboard given back\)tt: demo.0: the VM has stopped \(unavailable\)/)
})

test('what there is to say of the guest stands on a line of its own, as the terminal is raw', async () => {
  const { err, out } = await rehearse('env console demo', { frames: [...talks, { type: 'note', vm: 'demo.0', text: 'demo.0: it is busy' }, { type: 'exit', vm: 'demo.0', code: 0 }], keys: [] })
  assert.deepEqual([out, err], ['login: ', 'Ctrl-] leaves.\r\n\r\ndemo.0: it is busy\r\n(keyboard given back)'])
})

test('the name of a VM is understood', async () => {
  const { cloud } = await rehearse('env console demo.3 --scrollback 1m', { frames: [{ type: 'exit', vm: 'demo.3', code: 0 }], keys: [] })
  assert.deepEqual(cloud.opened, [{ type: 'console', vms: { envs: ['demo'], indices: [3] }, scrollbackBytes: 1_048_576 }])
})

test('a scrollback that is none is refused', async () => {
  for (const text of ['x', '-1', '1g', '64 k']) assert.equal((await rehearse(['env', 'console', 'demo.0', `--scrollback=${text}`], { keys: [] })).status, 2)
})

test('it is refused without a keyboard, before the guest is asked', async () => {
  const { status, cloud } = await rehearse('env console demo', {})
  assert.deepEqual([status, cloud.opened], [10, []])
})
