import assert from 'node:assert/strict'
import { test } from 'node:test'
import { linkBook } from '../book.ts'
import { linkOn, subnet } from '../ground.ts'
import { bridgeOf, tapOf } from './names.ts'
import { shapeOf, stepsBetween, wholeOf } from './shape.ts'

const mark = 'abcde'
const [a, b, c] = [linkOn(0, 0, { owner: 7 }), linkOn(0, 1), linkOn(1, 0, { denyOutgoing: true })]
const shape = (...links: (typeof a)[]) => shapeOf({ mark, subnet }, wholeOf(linkBook(subnet, links)))
const nothing = { replace: [], bridges: [], taps: [], added: new Map(), removed: [], remove: [] }
const tap = (link: typeof a) => tapOf(mark, link.ip)

test('the same shape is no step', () => {
  assert.deepEqual(stepsBetween(shape(a, b, c), shape(c, a, b)), nothing)
  assert.deepEqual(stepsBetween(shape(), shape()), nothing)
})

test('a link more is its own things more, and a bridge only if it is the first there', () => {
  const steps = stepsBetween(shape(a), shape(a, b))
  assert.deepEqual(steps.bridges, [])
  assert.deepEqual(steps.taps, [{ name: tap(b), tap: { bridge: bridgeOf(mark, b.slice), up: true }, make: true }])
  assert.equal(steps.added.size, 4)
  assert.deepEqual([...steps.removed, ...steps.remove, ...steps.replace], [])
  const other = stepsBetween(shape(a), shape(a, c))
  assert.deepEqual(other.bridges, [{ name: bridgeOf(mark, c.slice), bridge: { address: '10.77.4.1/22', mac: '52:54:00:4d:04:01', up: true }, make: true }])
  assert.equal(other.added.get('deny_out 10.77.4.2'), '10.77.4.2')
})

test('a link less is its own things less, and the bridge only if it was the last there', () => {
  const steps = stepsBetween(shape(a, b, c), shape(b))
  assert.deepEqual(steps.remove, [tap(a), tap(c), bridgeOf(mark, c.slice)])
  assert.deepEqual([...steps.added.keys(), ...steps.taps, ...steps.bridges], [])
  assert.ok(steps.removed.includes('deny_out 10.77.4.2'))
  assert.ok(!steps.removed.some((key) => key.includes(b.ip)))
})

test('an element of the same key and other content is taken away and added; a tap of another user is made anew, any other is set right', () => {
  const steps = stepsBetween(shape(a), shape({ ...a, owner: 8, ports: { 80: a.ports[22]! } }))
  const card = `cards "${tap(a)}" . ${a.mac} . ${a.ip}`
  const port = `public ${a.ports[22]}`
  assert.deepEqual(steps.removed.sort(), [card, port].sort())
  assert.equal(steps.added.get(port), `${a.ports[22]} : ${a.ip} . 80`)
  assert.equal(steps.added.get(card), `${card.slice('cards '.length)} comment "${a.id}/8"`)
  assert.deepEqual(steps.replace, [tap(a)])
  assert.equal(steps.taps[0]?.make, true)
  const down = shape(a, b)
  down.taps.get(tap(a))!.up = false
  down.taps.get(tap(b))!.doomed = true
  down.bridges.get(bridgeOf(mark, a.slice))!.address = ''
  const mended = stepsBetween(down, shape(a, b))
  assert.deepEqual(mended.replace, [tap(b)])
  assert.deepEqual(
    mended.taps.map(({ name, make }) => [name, make]),
    [
      [tap(a), false],
      [tap(b), true],
    ],
  )
  assert.equal(mended.bridges[0]?.make, false)
})

test('a list most links of a slice have is told once; who has another has its own', () => {
  const deny = ['10.0.0.0/8', '192.0.2.7']
  const all = Array.from({ length: 20 }, (_, at) => linkOn(0, at, { deny }))
  const keys = ({ elements }: { elements: Map<string, string> }) => [...elements.keys()].filter((key) => /^(denied|apart|near)/.test(key)).sort()
  const usual = ['denied_all 10.77.0.0/22 . 10.0.0.0/8', 'denied_all 10.77.0.0/22 . 192.0.2.7']
  assert.deepEqual(keys(shape(...all)), usual)
  assert.deepEqual(keys(shape(...all, linkOn(0, 30), linkOn(0, 31, { deny: ['198.51.100.0/24', '10.77.0.2'] }), linkOn(1, 0))), [
    'apart 10.77.0.32',
    'apart 10.77.0.33',
    'denied 10.77.0.33 . 198.51.100.0/24',
    ...usual,
    'near 10.77.0.33 . 10.77.0.2',
  ])
})

test('peers are elements of the slice, one for each direction it may send in', () => {
  const steps = stepsBetween(shape(a, c), shape({ ...a, peers: [c.slice, '10.77.200.0/24'] }, c))
  const names = [a.slice, '10.77.200.0/24', c.slice].map((slice) => `"${bridgeOf(mark, slice)}"`)
  assert.deepEqual([...steps.added], [
    [`within ${names[0]} . ${names[1]}`, `${names[0]} . ${names[1]} comment "10.77.200.0/24"`],
    [`within ${names[0]} . ${names[2]}`, `${names[0]} . ${names[2]} comment "${c.slice}"`],
  ])
  assert.deepEqual([...steps.removed, ...steps.remove, ...steps.taps], [])
})
