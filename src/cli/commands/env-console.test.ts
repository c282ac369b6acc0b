import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SessionFrame } from '../../model/session.ts'
import { rehearse } from '../rehearsal.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const talks: SessionFrame[] = [{ type: 'begin', vm: 'demo.0', image: 'micro' }, { type: 'stdout', vm: 'demo.0', data: bytes('login: ') }]

test('keys go to the guest until Ctrl-], and the keyboard is given back', async () => {
  const { status, out, err, cloud } = await rehearse('env console demo -m 0', { frames: [...talks, 60_000], keys: ['a\x03', 'b\x1dc', 'd'] })
  assert.deepEqual(cloud.opened, [{ type: 'console', vms: { envs: ['demo'], indices: [0] } }])
  assert.deepEqual(cloud.inputs, [{ type: 'size', columns: 100, rows: 30 }, { type: 'stdin', data: bytes('a\x03') }, { type: 'stdin', data: bytes('b') }])
  assert.deepEqual([status, out, err], [0, 'login: ', 'Ctrl-] leaves.\n\n(keyboard given back)'])
})

test('a guest that ends ends it, with its status', async () => {
  const { status, err } = await rehearse('env console demo', { frames: [...talks, { type: 'problem', vm: 'demo.0', problem: { code: 'unavailable', message: 'the VM has stopped' } }], keys: [] })
  assert.equal(status, 14)
  assert.match(err, /tt: demo.0: the VM has stopped \(unavailable\)/)
})

test('the name of a VM is answered by how it is said', async () => {
  const { status, err, cloud } = await rehearse('env console demo.3', { keys: [] })
  assert.deepEqual([status, err, cloud.opened], [2, 'tt: "demo.3" is not the name of an ENV but of a VM (invalid)\n  say `demo -m 3`\n', []])
})

test('it is refused without a keyboard, before the guest is asked', async () => {
  const { status, cloud } = await rehearse('env console demo', {})
  assert.deepEqual([status, cloud.opened], [10, []])
})
