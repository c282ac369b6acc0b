import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EnvSpec, FullGroup } from './env.ts'
import { countVms, demandOf, expand, expandOne } from './expand.ts'

const group = (image: string, first: number, count: number): FullGroup => ({ image, digest: 'd', engine: 'fake', first, count, cpu: 2, memMb: 100, diskMb: 50, ports: [22] })
const spec = (groups: FullGroup[], more: Partial<EnvSpec> = {}): EnvSpec => ({ groups, lifetimeSeconds: null, longLife: false, atEnd: 'delete', keepDisks: false, denyOutgoing: false, deny: [], sshKeys: [], peers: [], exceptions: {}, deadlineSeconds: 60, stopped: false, starts: 0, kicked: [], ...more })
const env = (given: EnvSpec) => ({ name: 'demo', uid: 'abcd', spec: given })

test('an ENV becomes its VMs in order of their index', () => {
  const vms = [...expand(env(spec([group('a', 0, 2), group('b', 2, 1)])))]
  assert.deepEqual(vms.map(({ id, image, index }) => [id, image, index]), [['abcd.0', 'a', 0], ['abcd.1', 'a', 1], ['abcd.2', 'b', 2]])
})

test('what was kicked is gone and the others keep their indices', () => {
  const root = env(spec([group('a', 0, 3)], { kicked: [1] }))
  assert.deepEqual([...expand(root)].map(({ index }) => index), [0, 2])
  assert.equal(expandOne(root, 1), undefined)
  assert.equal(countVms(root.spec), 2)
})

test('one VM is the same as that of the whole', () => {
  const root = env(spec([group('a', 0, 2), group('b', 10, 5)], { denyOutgoing: true, host: 'h' }))
  for (const vm of expand(root)) assert.deepEqual(expandOne(root, vm.index), vm)
  assert.equal(expandOne(root, 5), undefined)
})

test('[B10] demand is the sum over VMs; a stopped ENV holds its disks', () => {
  const groups = [group('a', 0, 3), group('b', 3, 1)]
  assert.deepEqual(demandOf(spec(groups)), { cpu: 8, memMb: 400, diskMb: 200, vms: 4 })
  assert.deepEqual(demandOf(spec(groups, { kicked: [0] })), { cpu: 6, memMb: 300, diskMb: 150, vms: 3 })
  assert.deepEqual(demandOf(spec(groups, { stopped: true })), { cpu: 0, memMb: 0, diskMb: 200, vms: 4 })
})

test('[D08] ten thousand VMs are expanded in one go', () => {
  let last = -1
  for (const vm of expand(env(spec([group('a', 0, 10_000)])))) last = vm.index
  assert.equal(last, 9999)
})
