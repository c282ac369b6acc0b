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

test('[E06] other inner ports: those that stay keep their public ports, new ones get some, the old ones are nobody else\'s until they are settled', () => {
  const addresses = book({ portTo: 40_003 })
  const first = addresses.reserve('a.0', { env: 'a', vms: 1, ports: [22, 80] })
  const second = addresses.reserve('a.0', { env: 'a', vms: 1, ports: [443, 22] })
  assert.deepEqual(second, { ...first, ports: { 22: 40_000, 443: 40_002 } })
  assert.deepEqual(first.ports, { 22: 40_000, 80: 40_001 }, 'what was given before is not changed behind its owner')
  assert.deepEqual(addresses.reserve('a.0', { env: 'a', vms: 1, ports: [22, 443, 22] }), second)
  const other = addresses.reserve('b.0', { env: 'b', vms: 1, ports: [22] })
  assert.deepEqual(other.ports, { 22: 40_003 })
  assert.throws(() => addresses.reserve('b.1', { env: 'b', vms: 2, ports: [22] }), refused('exhausted'))
  addresses.settle('a.0')
  assert.deepEqual(addresses.reserve('b.1', { env: 'b', vms: 2, ports: [22] }).ports, { 22: 40_001 })
  addresses.settle('nobody.0')
})

test('[E05] a change of ports for which there are not enough changes nothing', () => {
  const addresses = book({ portTo: 40_002 })
  const place = addresses.reserve('a.0', { env: 'a', vms: 1, ports: [22, 80] })
  assert.throws(() => addresses.reserve('a.0', { env: 'a', vms: 1, ports: [22, 1, 2] }), refused('exhausted'))
  assert.deepEqual(addresses.reserve('a.0', { env: 'a', vms: 1, ports: [22, 80] }), place)
  assert.deepEqual(addresses.reserve('b.0', { env: 'b', vms: 1, ports: [22] }).ports, { 22: 40_002 })
})

test('[E05] a VM that goes gives back its ports, those it had before a change too', () => {
  const addresses = book({ portTo: 40_002 })
  addresses.reserve('a.0', { env: 'a', vms: 1, ports: [22, 80] })
  addresses.reserve('a.0', { env: 'a', vms: 1, ports: [443] })
  addresses.release('a.0')
  assert.equal(Object.keys(addresses.reserve('b.0', { env: 'b', vms: 1, ports: [1, 2, 3] }).ports).length, 3)
})

test('a segment that cannot be had takes no port with it', () => {
  const addresses = book({ subnet: '10.0.0.0/28', portTo: 40_001 })
  addresses.reserve('a.0', { env: 'a', vms: 1, ports: [22] })
  assert.throws(() => addresses.reserve('b.0', { env: 'b', vms: 1, ports: [22] }), refused('exhausted'))
  assert.deepEqual(addresses.reserve('a.1', { env: 'a', vms: 2, ports: [22] }).ports, { 22: 40_001 })
})

test('the slices of a large ENV are all known with its first VM, as far as there is room, and go with its last', () => {
  const addresses = book()
  const told: string[] = []
  const stop = addresses.onSlices((env) => told.push(env))
  addresses.reserve('a.0', { env: 'a', vms: 2500, ports: [] })
  const slices = addresses.slicesOf('a')
  assert.deepEqual(slices, ['10.77.0.0/22', '10.77.4.0/22', '10.77.8.0/23'])
  told.length = 0
  for (let index = 1; index < 2500; index++) addresses.reserve(`a.${index}`, { env: 'a', vms: 2500, ports: [] })
  assert.deepEqual([addresses.slicesOf('a'), told], [slices, []])
  for (let index = 1; index < 2500; index++) addresses.release(`a.${index}`)
  addresses.release('a.0')
  assert.deepEqual(addresses.slicesOf('a'), [])
  assert.equal(told.at(-1), 'a')
  stop()
  assert.deepEqual(book({ subnet: '10.0.0.0/22' }).slicesOf('a'), [])
  const small = book({ subnet: '10.0.0.0/22' })
  small.reserve('a.0', { env: 'a', vms: 5000, ports: [] })
  assert.deepEqual(small.slicesOf('a'), ['10.0.0.0/22'])
})

test('[E01] fault 21: no two VMs have one address, MAC or public port, whatever came and went, and the MAC ends as the address does', () => {
  const addresses = book({ portTo: 40_599 })
  let state = 3
  const dice = (sides: number) => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) % 4093 % sides
  const held = new Map<string, ReturnType<typeof addresses.reserve>>()
  for (let round = 0; round < 4000; round++) {
    const env = `e${dice(9)}`
    const id = `${env}.${dice(40)}`
    if (held.has(id) && dice(2) === 0) {
      addresses.release(id)
      held.delete(id)
      continue
    }
    held.set(id, addresses.reserve(id, { env, vms: 40, ports: [22, 1 + dice(3)] }))
    addresses.settle(id)
    const places = [...held.values()]
    const all = (of: (place: (typeof places)[number]) => (string | number)[]) => places.flatMap(of)
    for (const values of [all(({ ip }) => [ip]), all(({ mac }) => [mac]), all(({ ports }) => Object.values(ports))]) assert.equal(new Set(values).size, values.length, `round ${round}`)
    const { ip, mac } = held.get(id)!
    assert.deepEqual(mac.split(':').slice(3).map((byte) => parseInt(byte, 16)), ip.split('.').slice(1).map(Number))
    assert.doesNotMatch(ip, /\.(0|255)$/)
  }
})
