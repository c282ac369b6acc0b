import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cidrOf, cidrText, contains, holds, ipv4Of, ipv4Text, overlap, sizeOf } from './ipv4.ts'

test('addresses are numbers and texts', () => {
  for (const text of ['0.0.0.0', '10.77.0.1', '255.255.255.255', '192.0.2.200']) assert.equal(ipv4Text(ipv4Of(text)!), text)
  assert.equal(ipv4Of('10.77.0.1'), 10 * 2 ** 24 + 77 * 2 ** 16 + 1)
  for (const wrong of ['', '1.2.3', '1.2.3.4.5', '256.1.1.1', '01.2.3.4', ' 1.2.3.4', '1.2.3.4\n', '1.2.3.-4', '::1', '1e1.1.1.1']) assert.equal(ipv4Of(wrong), undefined, wrong)
})

test('ranges are texts, and know what they hold', () => {
  const range = (text: string) => cidrOf(text)!
  for (const text of ['10.77.0.0/16', '0.0.0.0/0', '10.0.0.1/32', '192.0.2.128/25']) assert.equal(cidrText(range(text)), text)
  assert.deepEqual(range('10.0.0.1'), range('10.0.0.1/32'))
  for (const wrong of ['10.77.0.1/16', '10.77.0.0/33', '10.77.0.0/-1', '10.77.0.0/', '10.77.0.0/16/2', '/16', '10.77/16', '10.77.0.0/016']) assert.equal(cidrOf(wrong), undefined, wrong)
  assert.equal(sizeOf(range('10.77.0.0/22')), 1024)
  assert.ok(holds(range('10.77.0.0/22'), ipv4Of('10.77.3.255')!) && !holds(range('10.77.0.0/22'), ipv4Of('10.77.4.0')!))
  assert.ok(contains(range('10.0.0.0/8'), range('10.77.0.0/16')) && !contains(range('10.77.0.0/16'), range('10.0.0.0/8')))
  assert.ok(overlap(range('10.77.0.0/16'), range('10.0.0.0/8')) && overlap(range('10.0.0.0/8'), range('10.77.0.0/16')))
  assert.ok(!overlap(range('10.76.0.0/16'), range('10.77.0.0/16')))
})
