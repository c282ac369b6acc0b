import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { plainEffects } from '../../base/effects.ts'
import { batcher } from '../../base/queue.ts'
import { type ErrorCode, TtError } from '../../model/errors.ts'
import { type Ground, ground, linkOn, mortal } from './ground.ts'
import type { Link, NetworkDriver, NetworkFactory, NetworkFeatures, NetworkOptions } from './network.ts'
import { reaches } from './deny.contract.ts'

/** What the suite needs of a network driver. */
export interface NetworkSubject {
  name: string
  factory: NetworkFactory
  options?: Partial<NetworkOptions>
  /** Everything on the machine that carries the mark, found by code that is not the driver's. */
  traces?(mark: string): string[]
}

/** Proves that a network driver keeps its contract. Awaited at the top of its test file; a driver that is not usable here is skipped with the probe's reason, and the answer is no. */
export async function networkContract(subject: NetworkSubject): Promise<boolean> {
  const trial = ground(subject.factory, subject.options)
  after(trial.clear)
  const first = await trial.driver()
  const probe = await first.probe()
  if (!probe.usable) {
    test(`network ${subject.name}`, { skip: `not usable here: ${probe.why}` }, () => undefined)
    return false
  }
  /** A case on a ground of its own; whatever it leaves after `clear` fails it. */
  const it: It = (what, run) =>
    test(`network ${subject.name}: ${what}`, { timeout: 180_000 }, async () => {
      const on = ground(subject.factory, subject.options)
      try {
        await run(on)
        await (await on.driver()).clear()
        assert.deepEqual([...on.files(), ...(subject.traces?.(on.mark) ?? [])], [], 'something is left')
      } finally {
        await on.clear()
      }
    })

  test(`network ${subject.name}: the probe names a version, may be repeated and leaves nothing`, async () => {
    assert.match(probe.version, /\S/)
    assert.deepEqual(await first.probe(), probe)
    assert.deepEqual([...trial.files(), ...(subject.traces?.(trial.mark) ?? [])], [])
  })
  test(`network ${subject.name}: a subnet that is none is refused`, async () => {
    for (const wrong of ['', '10.77.0.0', '10.77.0.1/16', '10.77.0.0/33', '::/64'])
      await refusesOptions(subject.factory, { ...subject.options, subnet: wrong }, isRefusal('invalid'))
  })
  puts(it, first)
  refusals(it)
  reaches(it, first)
  reconciles(it)
  crowds(it)
  crashes(it, subject, first.features)
  if (first.leaks) leaks(it)
  else test(`network ${subject.name}: leaks`, { skip: 'it makes nothing on the machine' }, () => undefined)
  return true
}

/** Asserts that the factory makes no driver with these options. */
export async function refusesOptions(factory: NetworkFactory, options: object, why: RegExp | ((fault: unknown) => boolean)): Promise<void> {
  const on = ground(factory, options)
  try {
    await assert.rejects(on.driver(), why)
  } finally {
    await on.clear()
  }
}

/** Runs the test file `url` again in a network namespace of its own, where `suite` then runs: nothing touches the network of the machine. */
export async function inNamespace(url: string, suite: () => Promise<void>): Promise<void> {
  if (process.env.TT_TEST_NAMESPACE === url) return suite()
  const { status, stderr, error } = spawnSync('unshare', ['--net', 'true'], { encoding: 'utf8' })
  if (status !== 0) {
    test(fileURLToPath(url), { skip: `no network namespace can be made here: ${error?.message ?? stderr.trim()}` }, () => undefined)
    return
  }
  const chosen = process.execArgv.filter((option) => option.startsWith('--test-name-pattern'))
  const argv = ['--net', process.execPath, ...chosen, fileURLToPath(url)]
  const ran = spawnSync('unshare', argv, { stdio: 'inherit', env: { ...process.env, TT_TEST_NAMESPACE: url } })
  process.exitCode = ran.status ?? 1
}

type It = (what: string, run: (on: Ground) => Promise<void>) => unknown

const [a, b, c] = [linkOn(0, 0), linkOn(0, 1), linkOn(1, 0, { denyOutgoing: true })]

function puts(it: It, { features }: NetworkDriver) {
  it('put links have cards, in the order they were asked for', async (on) => {
    const driver = await on.driver()
    const nics = await driver.change({ put: [c, a, b], remove: [] })
    assert.deepEqual(
      nics.map(({ id, mac, ports }) => ({ id, mac, ports })),
      [c, a, b].map(({ id, mac, ports }) => ({ id, mac, ports })),
    )
    await holds(driver, [a, b, c])
    if (!features.addresses) return
    assert.deepEqual(
      nics.map(({ ip, gateway, prefixLength }) => [ip, gateway, prefixLength]),
      [
        [c.ip, '10.77.4.1', 22],
        [a.ip, '10.77.0.1', 22],
        [b.ip, '10.77.0.1', 22],
      ],
    )
  })

  it('a put that is repeated gives the same card and does nothing', async (on) => {
    const effects = plainEffects()
    const driver = await on.driver(effects)
    const nics = await driver.change({ put: [a, c], remove: [] })
    const done = effects.count
    assert.deepEqual(await driver.change({ put: [structuredClone(a), structuredClone(c)], remove: [] }), nics)
    assert.equal(effects.count, done)
    await holds(driver, [a, c])
  })

  it('removing is repeatable, and takes away what it names and nothing else', async (on) => {
    const driver = await on.driver()
    const kept = await driver.change({ put: [a, c], remove: ['unknown.0'] })
    await driver.change({ put: [b], remove: [] })
    await driver.change({ put: [], remove: [b.id, 'unknown.1'] })
    await driver.change({ put: [], remove: [b.id] })
    await holds(driver, [a, c])
    assert.deepEqual(await driver.change({ put: [a, c], remove: [] }), kept)
    await driver.change({ put: [b], remove: [a.id, c.id] })
    await holds(driver, [b])
  })

  it('a link is changed in all its parts', async (on) => {
    const driver = await on.driver()
    await driver.change({ put: [a, b], remove: [] })
    const other = linkOn(2, 5)
    const versions: Link[] = [
      { ...a, ports: { 22: a.ports[22]!, 80: other.ports[22]! } },
      { ...a, ports: {} },
      { ...a, denyOutgoing: true },
      { ...a, mac: other.mac },
      { ...a, ip: '10.77.3.200' },
      { ...a, ip: other.ip, slice: other.slice },
      { ...a, owner: 12_345 },
      a,
    ]
    for (const version of versions) {
      const [nic] = await driver.change({ put: [version], remove: [] })
      assert.deepEqual(nic?.ports, version.ports)
      assert.equal(nic?.mac, version.mac)
      await holds(driver, [version, b])
    }
  })

  it('what one link gives up in a change another may have in the same', async (on) => {
    const driver = await on.driver()
    await driver.change({ put: [a, b], remove: [] })
    await driver.change({ put: [{ ...a, ports: b.ports }, { ...b, ports: a.ports }], remove: [] })
    await holds(driver, [a, b])
    const heir = { ...b, ip: a.ip, mac: a.mac }
    await driver.change({ put: [heir], remove: [a.id] })
    await holds(driver, [heir])
  })

  it('a caller that changes its own link later changes nothing here', async (on) => {
    const driver = await on.driver()
    const mine = structuredClone(a)
    const [nic] = await driver.change({ put: [mine], remove: [] })
    mine.ports[22] = 1
    assert.deepEqual(nic?.ports, a.ports)
    assert.deepEqual(await driver.change({ put: [a], remove: [] }), [nic])
  })

  it('a caller that gave up waiting gets its reason, and the next is served', async (on) => {
    const driver = await on.driver()
    const reason = new Error('enough')
    await assert.rejects(driver.change({ put: [a], remove: [] }, { signal: AbortSignal.abort(reason) }), reason)
    await holds(driver, [])
    await driver.change({ put: [a], remove: [] }, { signal: new AbortController().signal })
    await holds(driver, [a])
  })
}

function refusals(it: It) {
  const bad: [string, ErrorCode, Partial<Link>][] = [
    ['an address outside of its slice', 'invalid', { ip: '10.77.200.9' }],
    ["the gateway's address", 'invalid', { ip: '10.77.0.1' }],
    ['a slice outside of the subnet', 'invalid', { slice: '10.99.0.0/22', ip: '10.99.0.9' }],
    ['a slice with more addresses than a bridge has ports', 'invalid', { slice: '10.77.0.0/16' }],
    ['a slice that overlaps another', 'conflict', { slice: '10.77.0.0/24' }],
    ['a port that is none', 'invalid', { ports: { 22: 70_000 } }],
    ['a MAC that is none', 'invalid', { mac: 'no' }],
    ['an id that is a command', 'invalid', { id: 'a" } ; flush ruleset ; add element ip x y { "' }],
    ['the address of another', 'conflict', { ip: a.ip }],
    ['the MAC of another', 'conflict', { mac: a.mac }],
    ['the public port of another', 'conflict', { ports: { 80: a.ports[22]! } }],
    ['one public port for two inner ones', 'conflict', { ports: { 80: 29_999, 81: 29_999 } }],
  ]
  for (const [what, code, part] of bad)
    it(`a change with ${what} is refused, and nothing of it holds`, async (on) => {
      const driver = await on.driver()
      await driver.change({ put: [a, c], remove: [] })
      const fresh = linkOn(3, 0)
      await assert.rejects(driver.change({ put: [fresh, { ...linkOn(0, 7), ...part }, linkOn(0, 8)], remove: [c.id] }), isRefusal(code))
      await holds(driver, [a, c])
      await driver.change({ put: [fresh, linkOn(0, 7)], remove: [c.id] })
      await holds(driver, [a, fresh, linkOn(0, 7)])
    })

  it('reconcile refuses what cannot be and leaves all as it is', async (on) => {
    const driver = await on.driver()
    await driver.change({ put: [a], remove: [] })
    await assert.rejects(driver.reconcile([b, { ...c, ports: b.ports }]), isRefusal('conflict'))
    await holds(driver, [a])
  })
}

function reconciles(it: It) {
  it('[E09] links outlive the server', async (on) => {
    const before = await on.driver()
    const nics = await before.change({ put: [a, c], remove: [] })
    await before[Symbol.asyncDispose]()
    const driver = await on.driver()
    await holds(driver, [a, c])
    assert.deepEqual(await driver.change({ put: [a, c], remove: [] }), nics)
    await assert.rejects(driver.change({ put: [{ ...b, ip: a.ip }], remove: [] }), isRefusal('conflict'))
    await driver.change({ put: [b], remove: [c.id] })
    await holds(driver, [a, b])
  })

  it('reconcile makes what is missing, removes what is not asked for and changes what is other', async (on) => {
    const before = await on.driver()
    const d = linkOn(0, 3)
    await before.change({ put: [a, b, c, d], remove: [] })
    await before[Symbol.asyncDispose]()
    const driver = await on.driver()
    const fresh = linkOn(5, 0)
    const wanted = [{ ...a, ports: b.ports, denyOutgoing: true }, fresh, { ...d, ip: '10.77.1.77' }]
    const nics = await driver.reconcile(wanted)
    assert.deepEqual(
      nics.map(({ id, ports }) => ({ id, ports })),
      wanted.map(({ id, ports }) => ({ id, ports })),
    )
    await holds(driver, wanted)
    assert.deepEqual(await driver.reconcile(wanted), nics)
    await driver.change({ put: [b].map((link) => ({ ...link, ports: a.ports })), remove: [] })
    await holds(driver, [...wanted, b])
    await driver.reconcile([])
    await holds(driver, [])
  })

  it('clear removes everything, may be repeated, and the driver works on', async (on) => {
    const driver = await on.driver()
    await driver.clear()
    await driver.change({ put: [a, c], remove: [] })
    await driver.clear()
    await driver.clear()
    await holds(driver, [])
    await driver.change({ put: [a], remove: [] })
    await holds(driver, [a])
  })
}

function crowds(it: It) {
  it('many at once', async (on) => {
    const driver = await on.driver()
    const links = Array.from({ length: 50 }, (_, at) => linkOn(at % 5, Math.floor(at / 5)))
    await Promise.all(links.map((link) => driver.change({ put: [link], remove: [] })))
    await holds(driver, links)
    await Promise.all(links.slice(0, 40).map(({ id }) => driver.change({ put: [], remove: [id] })))
    await holds(driver, links.slice(40))
  })

  it('[fault 7] in a batch, a bad link fails itself and nobody else', async (on) => {
    const driver = await on.driver()
    const batch = batcher((links: Link[]) => driver.change({ put: links, remove: [] }))
    const links = Array.from({ length: 12 }, (_, at) => linkOn(at % 2, Math.floor(at / 2), at === 7 ? { ports: { 22: 0 } } : {}))
    const answers = await Promise.allSettled(links.map((link) => batch.add(link)))
    assert.deepEqual(
      answers.flatMap(({ status }, at) => (status === 'rejected' ? [at] : [])),
      [7],
    )
    await holds(
      driver,
      links.filter((_, at) => at !== 7),
    )
  })
}

function crashes(it: It, subject: NetworkSubject, { denyLists, peers }: NetworkFeatures) {
  const limits = { ...(denyLists ? { deny: ['192.0.2.0/24', b.ip] } : {}), ...(peers ? { peers: [c.slice] } : {}) }
  const life = async (driver: NetworkDriver) => {
    await driver.change({ put: [{ ...a, ...limits }, b, c], remove: [] })
    await driver.change({ put: [{ ...a, owner: 7, ports: { 80: 29_998 } }, linkOn(6, 0)], remove: [c.id] })
    await driver.reconcile([{ ...a, denyOutgoing: true }, c])
    await driver.clear()
  }
  it('a server killed after any of its effects leaves nothing that the next cannot set right', async (on) => {
    for (let at = 1; ; at++) {
      const { fate, effects } = mortal(at)
      const doomed = await on.driver(effects)
      await life(doomed).catch((fault: unknown) => {
        if (!fate.dead) throw fault
      })
      await doomed[Symbol.asyncDispose]()
      const driver = await on.driver()
      if (at % 2 === 0) await driver.change({ put: [b], remove: [c.id] })
      await driver.reconcile([a, c])
      await holds(driver, [a, c])
      assert.deepEqual((await driver.leaks?.([a, c])) ?? [], [])
      if (at % 3 === 0) await driver.clear()
      await driver[Symbol.asyncDispose]()
      if (!fate.dead) break
    }
    await (await on.driver()).clear()
    assert.deepEqual(subject.traces?.(on.mark) ?? [], [])
  })
}

function leaks(it: It) {
  it('what no link explains is a leak, and what one does is none', async (on) => {
    const driver = await on.driver()
    await driver.change({ put: [a, b, c], remove: [] })
    assert.deepEqual(await driver.leaks?.([a, b, c]), [])
    const found = (await driver.leaks?.([a, b])) ?? []
    assert.ok(found.length >= 3, JSON.stringify(found))
    for (const { subject, why } of found) assert.match(subject + why, /\S/)
    await driver.reconcile([a])
    assert.deepEqual(await driver.leaks?.([a]), [])
    await driver.clear()
    assert.deepEqual(await driver.leaks?.([]), [])
  })
}

async function holds(driver: NetworkDriver, links: readonly Link[]): Promise<void> {
  assert.deepEqual((await driver.inspect()).sort(), links.map(({ id }) => id).sort())
}

const isRefusal = (code: ErrorCode) => (fault: unknown) => {
  assert.ok(fault instanceof TtError, String(fault))
  assert.equal(fault.code, code, fault.message)
  return true
}
