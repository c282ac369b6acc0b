import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Engine, EngineFeatures } from '../drivers/engine/engine.ts'
import { checkOrder, manifestOf } from './import-order.ts'

const engine = (features: Partial<EngineFeatures>) => ({ features: { boots: ['kernel', 'disk'], archs: ['amd64'], channel: false, ...features } }) as unknown as Engine
const engines = new Map([
  ['qemu', engine({ archs: ['amd64', 'arm64'] })],
  ['tiny', engine({ boots: ['kernel'] })],
])

test('an image that nothing is said of is one that distributions offer, for the engines that boot disks', () => {
  const runners = checkOrder({ name: 'debian' }, engines, 'one')
  assert.deepEqual(runners, { engines: ['qemu'], ways: ['qga', 'ssh'] })
  const manifest = manifestOf({ name: 'debian', ports: [80], cpu: 2 }, { file: 'disk.qcow2', sha256: 'a'.repeat(64), sizeBytes: 1024 }, runners)
  assert.deepEqual([manifest.engines, manifest.agent, manifest.features, manifest.arch, manifest.boot, manifest.defaults], [['qemu'], ['qga', 'ssh'], ['cloud-init'], 'amd64', 'disk', { cpu: 2, ports: [80] }])
})

test('where the engine itself takes commands, no agent is asked for', () => {
  assert.deepEqual(checkOrder({ name: 'x' }, new Map([['fake', engine({ channel: true })]]), 'one').ways, ['engine'])
})

test('orders that no bytes could make good are refused', () => {
  for (const order of [{ name: 'x', cpu: 0 }, { name: 'x', ports: [0] }, { name: 'x', memo: 'x'.repeat(2000) }, { name: 'a/../b' }, { name: 'kept/x' }]) assert.throws(() => checkOrder(order, engines, 'one'), { code: 'invalid' }, JSON.stringify(order))
  assert.throws(() => checkOrder({ name: 'x', arch: 's390x' }, engines, 'one'), { code: 'unsupported', message: 'no engine of one runs s390x' })
  assert.throws(() => checkOrder({ name: 'x' }, new Map([['tiny', engine({ boots: ['kernel'] })]]), 'one'), { code: 'unsupported', message: 'no engine of one boots from a disk' })
})
