import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLog } from '../base/log.ts'
import { realWorld as world } from '../base/world.ts'
import type { Link, NetworkDriver, NetworkFeatures } from '../drivers/network/network.ts'
import type { EnvSpec } from '../model/env.ts'
import { expandOne } from '../model/expand.ts'
import type { Nic } from '../model/plan.ts'
import { type EnvRecord, keys, type VmRecord } from '../model/records.ts'
import type { VmSpec } from '../model/vm.ts'
import { memoryStore } from '../store/memory.ts'
import { addressBook } from './addresses.ts'
import { hostLinks } from './links.ts'
import { hostViews } from './views.ts'

const features: NetworkFeatures = { addresses: true, denyOutgoing: true, isolation: true, udp: true, denyLists: true, peers: true, live: true, dhcp: true }

/** Remembers what it is told, in order; it can be told to refuse. */
function recorder(more: Partial<NetworkFeatures>) {
  const held = new Map<string, Link>()
  const calls: string[] = []
  const fate: { fault?: Error } = {}
  const nic = ({ id, mac, ip, ports }: Link): Nic => ({ id, mac, ip, ports, prefixLength: 24, gateway: '', kind: 'none' })
  const driver: NetworkDriver = {
    features: { ...features, ...more },
    probe: async () => ({ usable: true, version: '1' }),
    async change({ put, remove }) {
      calls.push(`+${put.map(({ id }) => id).join()} -${remove.join()}`)
      if (fate.fault) throw fate.fault
      for (const link of put) held.set(link.id, link)
      for (const id of remove) held.delete(id)
      return put.map(nic)
    },
    async reconcile(all) {
      calls.push(`=${all.map(({ id }) => id).sort().join()}`)
      held.clear()
      for (const link of all) held.set(link.id, link)
      return all.map(nic)
    },
    inspect: async () => [...held.keys()],
    clear: async () => held.clear(),
    [Symbol.asyncDispose]: async () => undefined,
  }
  return { driver, held, calls, fate }
}

const spec = (count: number, more: Partial<EnvSpec> = {}): EnvSpec => ({
  groups: [{ image: 'micro', digest: 'd', engine: 'fake', first: 0, count, cpu: 1, memMb: 1, diskMb: 0, ports: [22] }],
  lifetimeSeconds: null,
  longLife: false,
  atEnd: 'delete',
  keepDisks: false,
  denyOutgoing: false,
  deny: [],
  sshKeys: [],
  peers: [],
  exceptions: {},
  deadlineSeconds: 60,
  stopped: false,
  starts: 0,
  kicked: [],
  ...more,
})

async function place(more: Partial<NetworkFeatures> = {}) {
  await using building = new AsyncDisposableStack()
  const store = building.use(memoryStore({ world }))
  const views = building.use(await hostViews(store, { world, log: silentLog }))
  const network = recorder(more)
  const addresses = addressBook({ subnet: '10.77.0.0/16', portFrom: 40_000, portTo: 40_009 })
  const links = building.use(hostLinks({ name: 'one', views, network: network.driver, addresses, uidOf: () => 7 }))
  const changed: string[] = []
  building.defer(links.onChange((uid) => changed.push(uid)))
  const env = async (name: string, wish: EnvSpec): Promise<EnvRecord> => {
    const record = { name, uid: `uid${name}`, owner: 'ann', created: '', spec: wish }
    await views.reached(await store.commit([{ key: keys.env(name), value: record }]))
    return record
  }
  const write = (id: string) => async (record: VmRecord) => views.reached(await store.commit([{ key: keys.vm(id), value: record }]))
  /** A VM with a claim and a record, as `vms` makes it. */
  const vm = async (record: EnvRecord, index: number): Promise<{ vm: VmSpec; record: VmRecord }> => {
    const wanted = expandOne(record, index) as VmSpec
    const at = addresses.reserve(wanted.id, { env: record.uid, vms: 1, ports: wanted.ports })
    await store.commit([{ key: keys.claim(wanted.id), value: { host: 'one', env: record.name } }])
    const made: VmRecord = { host: 'one', env: record.name, index, state: 'ready', since: '', ...at }
    await write(wanted.id)(made)
    return { vm: wanted, record: made }
  }
  const follow = (id: string, index: number, running = true) => {
    const envRecord = views.envOf(id) as EnvRecord
    const wanted = expandOne(envRecord, index) as VmSpec
    return links.follow(wanted, views.vms.get(keys.vm(wanted.id)) as VmRecord, { running, write: write(wanted.id) })
  }
  const stack = building.move()
  return { ...network, links, views, addresses, changed, env, vm, follow, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

test('fault 4: [E08] whatever changes of a running VM is told once, and nothing else is', async () => {
  await using at = await place()
  await at.vm(await at.env('a', spec(1)), 0)
  await at.follow('uida', 0)
  await at.follow('uida', 0)
  assert.deepEqual(at.calls.splice(0), ['+uida.0 -'])
  const wishes: [Partial<EnvSpec>, Partial<Link>][] = [
    [{ denyOutgoing: true }, { denyOutgoing: true, deny: [] }],
    [{ deny: ['192.0.2.0/24'] }, { denyOutgoing: false, deny: ['192.0.2.0/24'] }],
    [{ deny: ['192.0.2.0/24'], exceptions: { 0: { deny: ['10.1.1.1'], denyOutgoing: true } } }, { denyOutgoing: true, deny: ['10.1.1.1'] }],
    [{}, { denyOutgoing: false, deny: [] }],
  ]
  for (const [wish, link] of wishes) {
    await at.env('a', spec(1, wish))
    await at.follow('uida', 0)
    await at.follow('uida', 0)
    assert.deepEqual(at.calls.splice(0), ['+uida.0 -'], JSON.stringify(wish))
    const held = at.held.get('uida.0') as Link
    assert.deepEqual({ ...held, ...link }, held)
    assert.equal(held.owner, 7)
  }
})

test('[E06] other ports are written down before they are told, and given back after', async () => {
  await using at = await place()
  await at.vm(await at.env('a', spec(1, { exceptions: { 0: { ports: [22, 80] } } })), 0)
  await at.follow('uida', 0)
  await at.env('a', spec(1, { exceptions: { 0: { ports: [22, 443] } } }))
  at.fate.fault = new Error('nft: no')
  await assert.rejects(at.follow('uida', 0), /nft: no/)
  const onRecord = at.views.vms.get(keys.vm('uida.0'))?.ports
  assert.deepEqual(onRecord, { 22: 40_000, 443: 40_002 })
  assert.deepEqual(at.held.get('uida.0')?.ports, { 22: 40_000, 80: 40_001 })
  const rest = Array.from({ length: 8 }, (_, port) => port + 1)
  assert.throws(() => at.addresses.reserve('b.0', { env: 'b', vms: 1, ports: rest }), { code: 'exhausted' }, 'a port that may still be open was given away')
  at.fate.fault = undefined
  await at.follow('uida', 0)
  assert.deepEqual(at.held.get('uida.0')?.ports, onRecord)
  assert.equal(at.addresses.reserve('b.0', { env: 'b', vms: 1, ports: rest }).ports[8], 40_001)
})

test('[E05] ports that are not to be had are refused, and the VM keeps those it has', async () => {
  await using at = await place()
  const { record } = await at.vm(await at.env('a', spec(1)), 0)
  await at.follow('uida', 0)
  at.calls.length = 0
  await at.env('a', spec(1, { exceptions: { 0: { ports: Array.from({ length: 11 }, (_, port) => port + 1) } } }))
  await assert.rejects(at.follow('uida', 0), { code: 'exhausted' })
  assert.deepEqual([at.views.vms.get(keys.vm('uida.0')), at.calls], [record, []])
})

test('[E14] slices of one ENV and of peers are told to each other, and every ENV concerned is to be looked at again', async () => {
  await using at = await place()
  const a = await at.env('a', spec(2))
  at.addresses.reserve('uida.0', { env: 'uida', vms: 1500, ports: [22] })
  await at.vm(a, 0)
  const b = await at.env('b', spec(1, { peers: ['a'] }))
  await at.vm(b, 0)
  assert.deepEqual([...new Set(at.changed.splice(0))].sort(), ['uida', 'uidb'])
  for (const uid of ['uida', 'uidb']) await at.follow(uid, 0)
  assert.deepEqual([at.held.get('uida.0')?.peers, at.held.get('uidb.0')?.peers], [['10.77.4.0/23', '10.77.6.0/28'], ['10.77.0.0/22', '10.77.4.0/23']])
  await at.env('b', spec(1))
  assert.deepEqual([...new Set(at.changed.splice(0))].sort(), ['uida', 'uidb'])
  for (const uid of ['uida', 'uidb']) await at.follow(uid, 0)
  assert.deepEqual([at.held.get('uida.0')?.peers, at.held.get('uidb.0')?.peers], [['10.77.4.0/23'], []])
})

test('[E16] a driver that cannot connect slices is asked only if somebody asked for it', async () => {
  await using at = await place({ peers: false })
  const a = await at.env('a', spec(1))
  at.addresses.reserve('uida.0', { env: 'uida', vms: 1500, ports: [22] })
  await at.vm(a, 0)
  await at.follow('uida', 0)
  assert.deepEqual(at.held.get('uida.0')?.peers, [])
  await at.vm(await at.env('b', spec(1, { peers: ['a'] })), 0)
  await at.follow('uida', 0)
  assert.equal(at.held.get('uida.0')?.peers.length, 1, 'the driver is to refuse it')
})

test('[E16] what a driver cannot change of a running guest is refused with what to do, and done when it is stopped', async () => {
  await using at = await place({ live: false })
  await at.vm(await at.env('a', spec(1)), 0)
  await at.follow('uida', 0)
  for (const wish of [{ denyOutgoing: true }, { exceptions: { 0: { ports: [22, 80] } } }]) {
    await at.env('a', spec(1, wish))
    at.calls.length = 0
    await assert.rejects(at.follow('uida', 0), { code: 'unsupported', subject: 'vm/uida.0', remedy: /`tt env stop a`/ })
    assert.deepEqual(at.calls, [])
    await at.follow('uida', 0, false)
    assert.deepEqual(at.calls, ['+uida.0 -'])
  }
})

test('fault 6: [E09] a server that starts tells the driver all it has claimed; of a VM nobody speaks of any more nothing is allowed', async () => {
  await using at = await place()
  const a = await at.env('a', spec(3, { deny: ['192.0.2.0/24'] }))
  for (const index of [0, 1, 2]) await at.vm(a, index)
  await at.env('a', { ...spec(2, { deny: ['192.0.2.0/24'], denyOutgoing: true }) })
  await at.links.begin()
  assert.deepEqual(at.calls.splice(0), ['=uida.0,uida.1,uida.2'])
  assert.deepEqual([...at.held.values()].map(({ denyOutgoing }) => denyOutgoing), [true, true, true])
  assert.deepEqual(at.held.get('uida.1')?.deny, ['192.0.2.0/24'])
  await at.follow('uida', 0)
  assert.deepEqual(at.calls, [])
})

test('a repair tells exactly what was told before, and waits for changes under way', async () => {
  await using at = await place()
  const a = await at.env('a', spec(3))
  for (const index of [0, 1, 2]) await at.vm(a, index)
  await Promise.all([0, 1, 2].map((index) => at.follow('uida', index)))
  const [gone] = [at.links.disconnect('uida.1'), at.links.mend()]
  await gone
  await at.links.mend()
  assert.deepEqual(at.calls.at(-1), '=uida.0,uida.2')
  assert.deepEqual([...at.held.keys()].sort(), ['uida.0', 'uida.2'])
})
