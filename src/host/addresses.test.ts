import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TtError } from '../model/errors.ts'
import { addressBook, parseCidr, parseIp, sliceLength } from './addresses.ts'

const book = (options: Partial<Parameters<typeof addressBook>[0]> = {}) => addressBook({ subnet: '10.77.0.0/16', portFrom: 40_000, portTo: 40_099, ...options })
const refused = (code: string) => (error: unknown) => error instanceof TtError && error.code === code

test('a slice has room for its VMs and is never larger than a bridge', () => {
  assert.deepEqual([1, 12, 13, 28, 200, 1000, 10_000].map(sliceLength), [28, 28, 27, 27, 24, 22, 22])
})

test('VMs of an ENV share a slice, those of another have their own', () => {
  const addresses = book()
  const one = addresses.reserve('a.0', { env: 'a', vms: 2, ports: [22] })
  const two = addresses.reserve('a.1', { env: 'a', vms: 2, ports: [22, 80] })
  const other = addresses.reserve('b.0', { env: 'b', vms: 1, ports: [] })
  assert.equal(one.slice, two.slice)
  assert.notEqual(one.slice, other.slice)
  assert.equal(one.ip, '10.77.0.2')
  assert.equal(one.mac, '52:54:00:4d:00:02')
  assert.deepEqual(two.ports, { 22: 40_001, 80: 40_002 })
  assert.deepEqual(addresses.reserve('a.0', { env: 'a', vms: 2, ports: [22] }), one)
})

test('ten thousand VMs of one ENV get addresses of their own, none ends in 0 or 255', () => {
  const addresses = book()
  const seen = new Set<string>()
  const slices = new Map<string, number>()
  for (let index = 0; index < 10_000; index++) {
    const { ip, slice } = addresses.reserve(`a.${index}`, { env: 'a', vms: 10_000, ports: [] })
    seen.add(ip)
    slices.set(slice, (slices.get(slice) ?? 0) + 1)
    assert.ok(!/\.(0|255)$/.test(ip))
  }
  assert.equal(seen.size, 10_000)
  assert.ok([...slices.values()].every((count) => count < 1023))
})

test('what is given back is used again, last of all', () => {
  const addresses = book()
  const first = addresses.reserve('a.0', { env: 'a', vms: 1, ports: [22] })
  addresses.release('a.0')
  const second = addresses.reserve('b.0', { env: 'b', vms: 1, ports: [22] })
  assert.notEqual(second.ip, first.ip)
  assert.notEqual(second.ports[22], first.ports[22])
})

test('a place on record is kept and not given again', () => {
  const addresses = book()
  addresses.adopt('a.0', 'a', { slice: '10.77.0.0/28', ip: '10.77.0.2', mac: '52:54:00:4d:00:02', ports: { 22: 40_000 } })
  const next = addresses.reserve('a.1', { env: 'a', vms: 2, ports: [22] })
  assert.equal(next.ip, '10.77.0.3')
  assert.deepEqual(next.ports, { 22: 40_001 })
  assert.notEqual(addresses.reserve('b.0', { env: 'b', vms: 1, ports: [] }).slice, '10.77.0.0/28')
})

test('a full host says what is full, and gives nothing half', () => {
  const addresses = book({ portTo: 40_001 })
  addresses.reserve('a.0', { env: 'a', vms: 3, ports: [22] })
  assert.throws(() => addresses.reserve('a.1', { env: 'a', vms: 3, ports: [22, 80] }), refused('exhausted'))
  assert.deepEqual(addresses.reserve('a.2', { env: 'a', vms: 3, ports: [80] }).ports, { 80: 40_001 })
  const small = book({ subnet: '10.0.0.0/28' })
  small.reserve('a.0', { env: 'a', vms: 1, ports: [] })
  assert.throws(() => small.reserve('b.0', { env: 'b', vms: 1, ports: [] }), refused('exhausted'))
})

test('a subnet is IPv4 on its own boundary', () => {
  assert.deepEqual(parseCidr('10.77.0.0/16'), { base: parseIp('10.77.0.0'), length: 16 })
  for (const bad of ['10.77.0.1/16', '10.77.0.0', '10.0.0.0/4', '300.0.0.0/8', 'x/16', '10.0.0.0/31']) assert.throws(() => parseCidr(bad), refused('invalid'), bad)
})
