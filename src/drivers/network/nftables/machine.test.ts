import assert from 'node:assert/strict'
import { test } from 'node:test'
import { linkBook } from '../book.ts'
import { linkOn, subnet } from '../ground.ts'
import type { Link } from '../network.ts'
import { linksIn, parseOwners, parseShape, parseTable } from './machine.ts'
import { bridgeOf, doomedGroup, tapOf } from './names.ts'
import { chains, sets } from './ruleset.ts'
import { type Shape, shapeOf, wholeOf } from './shape.ts'

const mark = 'abcde'
const realm = { mark, subnet }
const shape = (...links: Link[]) => shapeOf(realm, wholeOf(linkBook(subnet, links)))
const [a, b] = [linkOn(0, 0, { ports: { 22: 40_000, 80: 40_001 }, owner: 7 }), linkOn(1, 0, { denyOutgoing: true, ports: {} })]

/** As nft 1.0.6 answers. */
const listed = (...entries: object[]) => JSON.stringify({ nftables: [{ metainfo: { version: '1.0.6' } }, { table: { family: 'ip', name: 'tt_abcde', handle: 1 } }, ...entries] })
const map = (more: object = {}) => ({ map: { family: 'ip', name: 'public', table: 'tt_abcde', type: 'inet_service', map: 'ipv4_addr . inet_service', ...more } })

test('elements are read as they are written', () => {
  const tap = tapOf(mark, a.ip)
  const text = listed(
    map({ elem: [[40_000, { concat: ['10.77.0.2', 22] }]] }),
    { set: { family: 'ip', name: 'open', type: ['inet_service', 'ipv4_addr'], elem: [{ concat: [40_000, '10.77.0.2'] }] } },
    { set: { family: 'ip', name: 'deny_out', type: 'ipv4_addr', elem: ['10.77.4.2', { elem: { val: '10.77.4.3', comment: 'by hand' } }] } },
    { set: { family: 'ip', name: 'within', type: ['ifname', 'ifname'], elem: [{ concat: ['x', 'x'] }] } },
    { set: { family: 'ip', name: 'denied_all', type: ['ipv4_addr', 'ipv4_addr'], flags: ['interval'], elem: [{ concat: [{ prefix: { addr: '10.77.0.0', len: 22 } }, { prefix: { addr: '0.0.0.0', len: 0 } }] }] } },
    { set: { family: 'bridge', name: 'askers', type: ['ifname', 'ether_addr', 'integer'], elem: [{ concat: [tap, a.mac, 90520735776770] }] } },
    { set: { family: 'bridge', name: 'near', type: ['ipv4_addr', 'ipv4_addr'], flags: ['interval'], elem: [{ concat: ['10.77.0.2', '10.77.0.9'] }, { concat: ['10.77.0.2', { range: ['10.77.0.10', '10.77.0.12'] }] }] } },
    { set: { family: 'bridge', name: 'cards', type: ['ifname', 'ether_addr', 'ipv4_addr'], elem: [{ elem: { val: { concat: [tap, a.mac, a.ip] }, comment: `${a.id}/7` } }] } },
    { chain: { family: 'ip', name: 'here', type: 'filter', hook: 'input', prio: 0, policy: 'accept' } },
    { chain: { family: 'ip', name: 'limits' } },
    { rule: { family: 'ip', chain: 'here', expr: [{ drop: null }] } },
  )
  assert.deepEqual(parseTable(text), {
    alien: false,
    rules: ['here'],
    elements: new Map([
      ['public 40000', '40000 : 10.77.0.2 . 22'],
      ['open 40000 . 10.77.0.2', '40000 . 10.77.0.2'],
      ['deny_out 10.77.4.2', '10.77.4.2'],
      ['deny_out 10.77.4.3', '10.77.4.3 comment "by hand"'],
      ['within "x" . "x"', '"x" . "x"'],
      ['denied_all 10.77.0.0/22 . 0.0.0.0/0', '10.77.0.0/22 . 0.0.0.0/0'],
      [`askers "${tap}" . ${a.mac} . 90520735776770`, `"${tap}" . ${a.mac} . 90520735776770`],
      ['near 10.77.0.2 . 10.77.0.9', '10.77.0.2 . 10.77.0.9'],
      ['near 10.77.0.2 . {"range":["10.77.0.10","10.77.0.12"]}', '10.77.0.2 . {"range":["10.77.0.10","10.77.0.12"]}'],
      [`cards "${tap}" . ${a.mac} . ${a.ip}`, `"${tap}" . ${a.mac} . ${a.ip} comment "${a.id}/7"`],
    ]),
  })
})

test('what is not of this version is alien', () => {
  const strange = [
    map({ map: 'ipv4_addr' }),
    map({ type: 'mark' }),
    { set: { family: 'ip', name: 'other', type: 'mark' } },
    { set: { family: 'ip', name: 'cards', type: ['ifname', 'ether_addr', 'ipv4_addr'] } },
    { chain: { family: 'ip', name: 'here', type: 'filter', hook: 'input', prio: 5, policy: 'accept' } },
    { chain: { family: 'ip', name: 'here', type: 'filter', hook: 'input', prio: 0, policy: 'drop' } },
    { chain: { family: 'ip', name: 'there' } },
    { chain: { family: 'ip', name: 'toString' } },
    { chain: { family: 'ip', name: 'limits', type: 'filter', hook: 'input', prio: 0, policy: 'accept' } },
    { chain: { family: 'bridge', name: 'limits' } },
    { set: { family: 'ip', name: 'denied', type: ['ipv4_addr', 'ipv4_addr'] } },
    { set: { family: 'ip', name: 'apart', type: 'ipv4_addr', flags: ['interval'] } },
  ]
  for (const entry of strange) assert.equal(parseTable(listed(entry)).alien, true, JSON.stringify(entry))
  assert.deepEqual(parseTable(listed()), { alien: false, rules: [], elements: new Map() })
  assert.equal(Object.keys(sets).length + Object.keys(chains).length, 19)
})

test('interfaces of the mark are taps, bridges and strangers; nobody else is there', () => {
  const { elements } = shape(a)
  const one = { up: true, group: 0, mac: '52:54:00:00:00:01', addresses: [] }
  const parsed = parseShape(
    mark,
    [
      { ...one, name: 'eth0' },
      { ...one, name: bridgeOf('vwxyz', a.slice) },
      { ...one, name: bridgeOf(mark, a.slice), addresses: ['10.77.0.1/22'] },
      { ...one, name: tapOf(mark, a.ip), master: 'x' },
      { ...one, name: tapOf(mark, b.ip), up: false, group: doomedGroup(mark) },
      { ...one, name: 'ttabcdep0' },
    ],
    elements,
  )
  assert.deepEqual(parsed, {
    bridges: new Map([[bridgeOf(mark, a.slice), { address: '10.77.0.1/22', mac: one.mac, up: true }]]),
    taps: new Map([
      [tapOf(mark, a.ip), { bridge: 'x', up: true, owner: 7 }],
      [tapOf(mark, b.ip), { bridge: '', up: false, doomed: true }],
    ]),
    strangers: ['ttabcdep0'],
  })
})

test('links are told from the machine alone, if everything of them is there', () => {
  assert.deepEqual(linksIn(realm, shape(a, b)), [a, b])
  const lacking: ((shape: Shape) => unknown)[] = [
    (shape) => shape.taps.delete(tapOf(mark, a.ip)),
    (shape) => (shape.taps.get(tapOf(mark, a.ip))!.up = false),
    (shape) => (shape.taps.get(tapOf(mark, a.ip))!.doomed = true),
    (shape) => (shape.taps.get(tapOf(mark, a.ip))!.bridge = bridgeOf(mark, b.slice)),
    (shape) => shape.bridges.delete(bridgeOf(mark, a.slice)),
    (shape) => (shape.bridges.get(bridgeOf(mark, a.slice))!.address = ''),
    (shape) => shape.elements.delete('open 40000 . 10.77.0.2'),
    (shape) => shape.elements.delete(`cards "${tapOf(mark, a.ip)}" . ${a.mac} . ${a.ip}`),
    (shape) => shape.elements.delete(`within "${bridgeOf(mark, a.slice)}" . "${bridgeOf(mark, a.slice)}"`),
  ]
  for (const lack of lacking) {
    const less = shape(a, b)
    lack(less)
    assert.deepEqual(linksIn(realm, less), [b], String(lack))
  }
})

test('the users of taps, by number or by name', () => {
  const tun = (ifname: string, user?: unknown) => ({ ifname, linkinfo: { info_kind: 'tun', info_data: { type: 'tap', ...(user === undefined ? {} : { user }) } } })
  const json = JSON.stringify([tun('one', 4242), tun('two', 'games'), tun('three', 'nobody-knows'), tun('four'), {}])
  assert.deepEqual(parseOwners(json, 'root:x:0:0::/root:/bin/sh\ngames:x:5:60::/:/bin/sh\n'), new Map([['one', 4242], ['two', 5], ['three', -1]]))
})

test('what is denied and who are peers is told from the machine, be it one\'s own list or that of the slice', () => {
  const deny = ['10.0.0.0/8', '192.0.2.7']
  const links = [
    linkOn(0, 0, { deny }),
    linkOn(0, 1, { deny }),
    linkOn(0, 2, { deny: ['0.0.0.0/0'] }),
    linkOn(0, 4, { deny: ['10.77.0.9', '192.0.2.7'] }),
    linkOn(0, 3),
    linkOn(1, 0, { peers: ['10.77.0.0/22', '10.77.8.0/28'] }),
    linkOn(1, 1, { peers: ['10.77.0.0/22', '10.77.8.0/28'] }),
  ]
  assert.deepEqual(linksIn(realm, shape(...links)), links)
  const half = shape(...links)
  half.elements.delete('denied_all 10.77.0.0/22 . 10.0.0.0/8')
  assert.deepEqual(linksIn(realm, half)[0]?.deny, ['192.0.2.7'])
  half.elements.delete('denied 10.77.0.4 . 0.0.0.0/0')
  assert.deepEqual(linksIn(realm, half)[2]?.deny, [])
})
