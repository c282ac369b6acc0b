import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TtError } from '../../model/errors.ts'
import { linkBook } from './book.ts'
import type { Link } from './network.ts'

const link = (id: string, last: number, more: Partial<Link> = {}): Link => ({
  id,
  slice: '10.77.0.0/24',
  ip: `10.77.0.${last}`,
  mac: `52:54:00:4d:00:${last.toString(16).padStart(2, '0')}`,
  ports: { 22: 40_000 + last },
  denyOutgoing: false,
  deny: [],
  peers: [],
  ...more,
})
const a = link('aaaa.0', 2)
const b = link('aaaa.1', 3)
const refusal = (run: () => unknown, code: string, message: RegExp) =>
  assert.throws(run, (fault) => fault instanceof TtError && fault.code === code && message.test(fault.message))

test('a link that cannot be is refused with the reason', () => {
  const book = linkBook('10.77.0.0/16')
  const wrong: [Partial<Link>, RegExp][] = [
    [{ id: '' }, /is no id/],
    [{ id: 'a b' }, /is no id/],
    [{ id: 'a"; reboot' }, /is no id/],
    [{ id: 'a'.repeat(65) }, /is no id/],
    [{ slice: '10.77.0.1/24' }, /no range/],
    [{ slice: '10.77.0.0/21' }, /between a \/22/],
    [{ slice: '10.77.0.2/31' }, /between a \/22/],
    [{ slice: '10.78.0.0/24' }, /not in the subnet/],
    [{ ip: '10.77.1.2' }, /not in the slice/],
    [{ ip: '10.77.0.0' }, /none for a guest/],
    [{ ip: '10.77.0.1' }, /none for a guest/],
    [{ ip: '10.77.0.255' }, /none for a guest/],
    [{ ip: '10.77.0.02' }, /no IPv4 address/],
    [{ mac: '52:54:00:4D:00:02' }, /no MAC/],
    [{ mac: '53:54:00:4d:00:02' }, /no MAC/],
    [{ ports: { 22: 70_000 } }, /no pair of ports/],
    [{ ports: { 0: 40_000 } }, /no pair of ports/],
    [{ ports: { 22: 40_000.5 } }, /no pair of ports/],
    [{ owner: -1 }, /no user/],
  ]
  for (const [part, message] of wrong) refusal(() => book.check({ put: [{ ...a, ...part }], remove: [] }), 'invalid', message)
  refusal(() => linkBook('ten'), 'invalid', /no range/)
  book.check({ put: [a, b], remove: ['unknown.0'] })
  assert.equal(book.size, 0)
})

test('what belongs to another link is refused, unless that one leaves in the same change', () => {
  const book = linkBook('10.77.0.0/16', [a])
  const taken: [Partial<Link>, RegExp][] = [
    [{ ip: a.ip }, /the address 10.77.0.2 belongs to vm\/aaaa.0/],
    [{ mac: a.mac }, /the MAC .* belongs to vm\/aaaa.0/],
    [{ ports: { 80: 40_002 } }, /the public port 40002 belongs to vm\/aaaa.0/],
    [{ ports: { 22: 41_000, 80: 41_000 } }, /the public port 41000 belongs to vm\/aaaa.1/],
    [{ slice: '10.77.0.0/25' }, /overlaps the slice 10.77.0.0\/24/],
  ]
  for (const [part, message] of taken) refusal(() => book.check({ put: [{ ...b, ...part }], remove: [] }), 'conflict', message)
  refusal(() => book.check({ put: [b, link('bbbb.0', 3)], remove: [] }), 'conflict', /belongs to vm\/aaaa.1/)
  refusal(() => book.check({ put: [b, b], remove: [] }), 'invalid', /twice/)
  refusal(() => book.check({ put: [b], remove: [b.id] }), 'invalid', /twice/)
  book.check({ put: [{ ...b, ip: a.ip, mac: a.mac, ports: a.ports }], remove: [a.id] })
  book.check({ put: [{ ...a, ports: b.ports }, { ...b, ports: a.ports }], remove: [] })
  book.check({ put: [a], remove: [] })
  book.check({ put: [{ ...b, slice: '10.77.0.0/25' }], remove: [a.id] })
  book.check({ put: [{ ...a, slice: '10.77.0.0/25' }], remove: [] })
})

test('a change is taken over, and taken back by the change it gives', () => {
  const book = linkBook('10.77.0.0/16', [a, b])
  const moved = { ...a, ports: { 22: 45_000 } }
  const other = link('cccc.0', 9, { slice: '10.77.4.0/22', ip: '10.77.4.9' })
  const back = book.apply({ put: [moved, other], remove: [b.id, 'unknown.0'] })
  assert.deepEqual(book.links(), [moved, other])
  assert.deepEqual(book.on('10.77.0.0/24'), [moved])
  assert.deepEqual(book.on('10.77.4.0/22'), [other])
  book.check({ put: [link('dddd.0', 20, { ports: a.ports })], remove: [] })
  book.apply(back)
  assert.deepEqual(book.links().sort((x, y) => (x.id < y.id ? -1 : 1)), [a, b])
  assert.deepEqual(book.on('10.77.4.0/22'), [])
  refusal(() => book.check({ put: [link('dddd.0', 20, { ports: a.ports })], remove: [] }), 'conflict', /belongs to vm\/aaaa.0/)
})

test('a link is held if everything of it is, whatever the caller does to its own later', () => {
  const mine = { ...a, ports: { 80: 40_080, 22: 40_022 } }
  const book = linkBook('10.77.0.0/16', [mine])
  mine.ports[80] = 1
  const held = { ...a, ports: { 22: 40_022, 80: 40_080 } }
  assert.ok(book.has(structuredClone(held)))
  for (const part of [{ id: b.id }, { ip: '10.77.0.9' }, { mac: b.mac }, { ports: {} }, { ports: mine.ports }, { denyOutgoing: true }, { deny: ['10.0.0.1'] }, { peers: ['10.77.4.0/22'] }, { owner: 7 }, { slice: '10.77.0.0/25' }])
    assert.ok(!book.has({ ...held, ...part }), JSON.stringify(part))
})

test('peers belong to the slice: the last link says them for all, and they come back with a change that is taken back', () => {
  const book = linkBook('10.77.0.0/16', [a, b])
  const [one, other] = [['10.77.4.0/22'], ['10.77.8.0/22', '10.77.4.0/22']]
  book.apply({ put: [{ ...a, peers: one }], remove: [] })
  assert.deepEqual(book.links(), [b, a].map((each) => ({ ...each, peers: one })))
  assert.ok(book.has({ ...b, peers: one }))
  assert.ok(!book.has(b))
  const back = book.apply({ put: [link('aaaa.9', 9, { peers: other })], remove: [] })
  assert.deepEqual(book.get(a.id)?.peers, other.toSorted())
  book.apply(back)
  for (const { id } of [a, b]) assert.deepEqual(book.get(id)?.peers, one)
  assert.deepEqual(book.segments(), new Map([[a.slice, { peers: one, far: [] }]]))
  assert.deepEqual(book.segments(['10.77.4.0/22']), new Map())
})

test('a list of denied addresses is held in one form', () => {
  const book = linkBook('10.77.0.0/16', [{ ...a, deny: ['192.0.2.7', '10.0.0.0/8', '10.1.2.3/32'] }])
  assert.deepEqual(book.get(a.id)?.deny, ['10.0.0.0/8', '192.0.2.7'])
  assert.ok(book.has({ ...a, deny: ['192.0.2.7/32', '10.0.0.0/8'] }))
  assert.ok(!book.has({ ...a, deny: ['192.0.2.7'] }))
})
