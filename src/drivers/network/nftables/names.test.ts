import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bridgeOf, doomedGroup, gatewayOf, ipOfTap, sliceOfGateway, tapOf } from './names.ts'

test('a tap is named after its address, and tells it again', () => {
  for (const ip of ['0.0.0.0', '10.77.0.2', '192.168.255.254', '255.255.255.255']) {
    const tap = tapOf('abcde', ip)
    assert.ok(tap.length <= 15, tap)
    assert.match(tap, /^ttabcdet[0-9a-z]+$/)
    assert.equal(ipOfTap('abcde', tap), ip)
  }
  for (const name of ['ttabcdet', 'ttabcdet-1', 'ttabcdetzzzzzzz', 'ttabcdet2x!', 'ttabcdet02', 'ttabcdeb1', 'ttvwxyzt1', 'eth0']) assert.equal(ipOfTap('abcde', name), undefined, name)
})

test('a slice gives a bridge and a gateway, and the gateway the slice again', () => {
  assert.ok(bridgeOf('abcde', '255.255.252.0/22').length <= 15)
  assert.notEqual(bridgeOf('abcde', '10.77.0.0/22'), bridgeOf('abcde', '10.77.4.0/22'))
  assert.deepEqual(gatewayOf('10.77.4.0/22'), { ip: '10.77.4.1', prefixLength: 22, mac: '52:54:00:4d:04:01' })
  assert.equal(sliceOfGateway('10.77.4.1/22'), '10.77.4.0/22')
  for (const wrong of ['', '10.77.4.2/22', '10.77.4.1', '10.77.4.1/33', '0.0.0.0/0', '10.77.4.1/22,10.1.1.1/24']) assert.equal(sliceOfGateway(wrong), undefined, wrong)
})

test('each mark has its own group', () => {
  const groups = ['00000', 'abcde', 'abcdf', 'zzzzz'].map(doomedGroup)
  assert.equal(new Set(groups).size, 4)
  for (const group of groups) assert.ok(group > 0 && group < 2 ** 31)
})
