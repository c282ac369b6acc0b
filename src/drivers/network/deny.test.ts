import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Cidr, cidrOf } from '../../base/ipv4.ts'
import { denyList, denyParts } from './deny.ts'
import { subnet } from './ground.ts'

const range = (text: string) => cidrOf(text) as Cidr

test('a list of denied addresses has one form: in order, none twice, none inside another', () => {
  const forms: [string[], string[]][] = [
    [[], []],
    [['192.0.2.7/32', '192.0.2.7'], ['192.0.2.7']],
    [['192.0.2.9', '10.0.0.0/8', '192.0.2.0/24', '10.1.0.0/16'], ['10.0.0.0/8', '192.0.2.0/24']],
    [['10.0.0.0/9', '10.128.0.0/9', '10.128.0.0/16'], ['10.0.0.0/9', '10.128.0.0/9']],
    [['9.9.9.9', '0.0.0.0/0', '255.255.255.255'], ['0.0.0.0/0']],
    [['10.0.0.0/8', '10.77.0.3', '10.77.0.0/24', '10.78.0.1'], ['10.0.0.0/8', '10.77.0.0/24']],
    [['no', '10.0.0.1/8', '2.0.0.0/8'], ['2.0.0.0/8']],
  ]
  for (const [given, form] of forms) {
    assert.deepEqual(denyList(range(subnet), given), form)
    assert.deepEqual(denyList(range(subnet), given.toReversed()), form)
    assert.deepEqual(denyList(range(subnet), form), form)
  }
})

test('only what lies in the subnet speaks of guests', () => {
  const list = ['0.0.0.0/0', '10.0.0.0/8', '10.77.0.0/16', '10.77.4.0/22', '10.77.4.9', '10.78.0.1']
  assert.deepEqual(denyParts(range('10.77.0.0/16'), list), { near: ['10.77.0.0/16', '10.77.4.0/22', '10.77.4.9'], far: ['0.0.0.0/0', '10.0.0.0/8', '10.78.0.1'] })
  assert.deepEqual(denyParts(range('10.77.0.0/16'), []), { near: [], far: [] })
})
