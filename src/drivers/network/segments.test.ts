import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Cidr, cidrOf } from '../../base/ipv4.ts'
import { linkOn, subnet } from './ground.ts'
import { segments } from './segments.ts'

const range = cidrOf(subnet) as Cidr
const far = ['192.0.2.0/24']

test('a slice denies what most of its links deny outside of the subnet, whatever their order', () => {
  const links = [linkOn(0, 0, { deny: far }), linkOn(0, 1, { deny: ['198.51.100.1'] }), linkOn(0, 2, { deny: [...far] }), linkOn(1, 0), linkOn(1, 1, { deny: ['10.77.0.2'] })]
  for (const order of [links, links.toReversed()]) {
    const found = segments(range, order)
    assert.deepEqual(found.get('10.77.0.0/22'), { peers: [], far })
    assert.deepEqual(found.get('10.77.4.0/22'), { peers: [], far: [] })
    assert.deepEqual([...found.idsOn('10.77.0.0/22')].sort(), ['network0.0', 'network0.1', 'network0.2'])
  }
})

test('what is usual follows the links that come and go; of two as usual it is always the same', () => {
  const found = segments(range)
  const [one, two, three] = [linkOn(0, 0, { deny: far }), linkOn(0, 1, { deny: ['198.51.100.1'] }), linkOn(0, 2, { deny: ['198.51.100.1'] })]
  found.add(two)
  found.add(one)
  assert.deepEqual(found.get(one.slice)?.far, far)
  found.add(three)
  assert.deepEqual(found.get(one.slice)?.far, ['198.51.100.1'])
  found.drop(three)
  found.drop(three)
  assert.deepEqual(found.get(one.slice)?.far, far)
  found.drop(one)
  found.drop(two)
  assert.equal(found.get(one.slice), undefined)
  assert.deepEqual([found.all(), found.idsOn(one.slice).size], [[], 0])
})

test('the peers of a slice are those its last link named', () => {
  const found = segments(range, [linkOn(0, 0, { peers: ['10.77.4.0/22'] }), linkOn(0, 1, { peers: [] })])
  assert.deepEqual(found.get('10.77.0.0/22')?.peers, [])
  found.add(linkOn(0, 2, { peers: ['10.77.8.0/22'] }))
  assert.deepEqual(found.all(), [['10.77.0.0/22', { peers: ['10.77.8.0/22'], far: [] }]])
})
