import assert from 'node:assert/strict'
import { plainEffects } from '../../base/effects.ts'
import { type ErrorCode, TtError } from '../../model/errors.ts'
import { type Ground, linkOn } from './ground.ts'
import type { Link, NetworkDriver } from './network.ts'

type It = (what: string, run: (on: Ground) => Promise<void>) => unknown

const [a, b, c] = [linkOn(0, 0), linkOn(0, 1), linkOn(1, 0)]

/** The part of the contract's suite about what guests may reach: lists of what is denied, and peers. */
export function reaches(it: It, { features }: NetworkDriver): void {
  if (features.denyLists) denies(it)
  else refuses(it, 'a link that denies single addresses', { deny: ['192.0.2.1'] })
  if (features.peers) befriends(it)
  else refuses(it, 'a link with peers', { peers: [c.slice] })

  const bad: [string, Partial<Link>][] = [
    ['an address that is none', { deny: ['192.0.2.1', 'example.org'] }],
    ['a denied prefix with bits beyond its length', { deny: ['10.1.2.3/8'] }],
    ['a denied IPv6 address', { deny: ['2001:db8::1'] }],
    ['a denied address that is a command', { deny: ['1.2.3.4 } ; flush ruleset ; add element ip x y { 1.2.3.4'] }],
    ['more denied addresses than are allowed', { deny: Array.from({ length: 1001 }, (_, at) => `192.0.${at >> 8}.${at & 255}`) }],
    ['a peer that is no slice', { peers: ['10.77.4.0'] }],
    ['a peer outside of the subnet', { peers: ['10.99.0.0/24'] }],
    ['a peer that is larger than a slice may be', { peers: ['10.77.128.0/17'] }],
    ['its own slice as a peer', { peers: [a.slice] }],
    ['a peer that overlaps its own slice', { peers: ['10.77.2.0/24'] }],
  ]
  it('what can be no limit is refused, and nothing of the change holds', async (on) => {
    const driver = await on.driver()
    await driver.change({ put: [a], remove: [] })
    for (const [what, part] of bad) await assert.rejects(driver.change({ put: [{ ...b, ...part }, c], remove: [a.id] }), isRefusal('invalid', `vm/${b.id}`), what)
    await holds(driver, [a])
  })
}

function refuses(it: It, what: string, part: Partial<Link>) {
  it(`[E16] ${what} is refused by a driver that could not obey, and nothing of the change holds`, async (on) => {
    const driver = await on.driver()
    await driver.change({ put: [a, b], remove: [] })
    await assert.rejects(driver.change({ put: [c, { ...b, ...part }], remove: [a.id] }), isRefusal('unsupported', `vm/${b.id}`))
    await assert.rejects(driver.reconcile([{ ...b, ...part }]), isRefusal('unsupported', `vm/${b.id}`))
    await holds(driver, [a, b])
  })
}

function denies(it: It) {
  it('[E15] the list of what is denied is changed in all its parts', async (on) => {
    const driver = await on.driver()
    await driver.change({ put: [a, b], remove: [] })
    const lists = [
      ['192.0.2.1'],
      ['192.0.2.0/24', '10.77.0.3', '10.77.4.0/22'],
      ['192.0.0.0/16', '192.0.2.0/24', '192.0.2.7', '192.0.2.7/32'],
      ['192.0.2.7'],
      ['0.0.0.0/0'],
      ['0.0.0.0/1', '128.0.0.0/1', '10.77.0.0/16'],
      [],
    ]
    for (const deny of lists) {
      await driver.change({ put: [{ ...a, deny }], remove: [] })
      await holds(driver, [{ ...a, deny }, b])
    }
  })

  it('[E15] guests of a slice with one list or with lists of their own come, change and go', async (on) => {
    const driver = await on.driver()
    const usual = ['10.0.0.0/8', '172.16.0.0/12']
    const links = Array.from({ length: 6 }, (_, at) => linkOn(at % 2, Math.floor(at / 2), { deny: usual }))
    const put = async (...changed: Link[]) => {
      await driver.change({ put: changed, remove: [] })
      for (const link of changed) links[links.findIndex(({ id }) => id === link.id)] = link
      await holds(driver, links)
    }
    await put(...links)
    for (const at of [0, 2, 1]) await put({ ...(links[at] as Link), deny: [`198.51.100.${at}`, '10.0.0.0/8'] })
    await put(...links.map((link) => ({ ...link, deny: ['192.0.2.0/24'] })))
    await put({ ...(links[3] as Link), deny: [] })
    for (let gone = links.shift(); gone; gone = links.shift()) {
      await driver.change({ put: [], remove: [gone.id] })
      await holds(driver, links)
    }
  })

  it('[E15] a list that says the same in other words changes nothing', async (on) => {
    const effects = plainEffects()
    const driver = await on.driver(effects)
    const [nic] = await driver.change({ put: [{ ...a, deny: ['192.0.2.0/24', '198.51.100.1'] }], remove: [] })
    const done = effects.count
    const same = ['198.51.100.1/32', '192.0.2.128/25', '192.0.2.0/24', '198.51.100.1']
    assert.deepEqual(await driver.change({ put: [{ ...a, deny: same }], remove: [] }), [nic])
    assert.equal(effects.count, done)
  })

  it('[E09] what is denied outlives the server', async (on) => {
    const kept = [
      { ...a, deny: ['192.0.2.0/24', b.ip], denyOutgoing: true },
      { ...b, deny: ['192.0.2.0/24'] },
      { ...c, deny: ['0.0.0.0/0'] },
    ]
    const before = await on.driver()
    await before.change({ put: kept, remove: [] })
    await before[Symbol.asyncDispose]()
    const driver = await on.driver()
    await driver.change({ put: [linkOn(0, 5)], remove: [] })
    await holds(driver, [...kept, linkOn(0, 5)])
  })
}

function befriends(it: It) {
  it('[E14] peers come and go, those that are not there yet among them', async (on) => {
    const driver = await on.driver()
    await driver.change({ put: [a, b], remove: [] })
    const versions = [[c.slice], [c.slice, '10.77.200.0/24'], ['10.77.200.0/24'], []]
    for (const peers of versions) {
      await driver.change({ put: [{ ...a, peers }], remove: [] })
      // What was said last holds for the slice.
      await holds(driver, [{ ...a, peers }, { ...b, peers }])
    }
    await driver.change({ put: [{ ...c, peers: [a.slice] }, { ...a, peers: [c.slice] }, { ...b, peers: [c.slice] }], remove: [] })
    await driver.change({ put: [], remove: [c.id] })
    await holds(driver, [{ ...a, peers: [c.slice] }, { ...b, peers: [c.slice] }])
    await driver.change({ put: [], remove: [a.id, b.id] })
    await holds(driver, [])
  })

  it('[E14] peers outlive the server, and a refused change leaves them as they are', async (on) => {
    const kept = [{ ...a, peers: [c.slice] }, { ...b, peers: [c.slice] }, { ...c, peers: [a.slice] }]
    const before = await on.driver()
    await before.change({ put: kept, remove: [] })
    await before[Symbol.asyncDispose]()
    const driver = await on.driver()
    await assert.rejects(driver.change({ put: [{ ...linkOn(0, 4), peers: [] }, { ...linkOn(0, 5), ip: c.ip }], remove: [] }), isRefusal('invalid', 'vm/network0.5'))
    await driver.change({ put: [linkOn(3, 5)], remove: [] })
    await holds(driver, [...kept, linkOn(3, 5)])
  })
}

/** It holds these links and nothing that they do not explain. */
async function holds(driver: NetworkDriver, links: readonly Link[]): Promise<void> {
  assert.deepEqual((await driver.inspect()).sort(), links.map(({ id }) => id).sort())
  assert.deepEqual((await driver.leaks?.(links)) ?? [], [])
}

const isRefusal = (code: ErrorCode, subject: string) => (fault: unknown) => {
  assert.ok(fault instanceof TtError, String(fault))
  assert.deepEqual([fault.code, fault.subject], [code, subject], fault.message)
  return true
}
