import { batcher, gate } from '../base/queue.ts'
import type { Link, NetworkDriver } from '../drivers/network/network.ts'
import { fail } from '../model/errors.ts'
import { countVms, expandOne } from '../model/expand.ts'
import { parseVmId } from '../model/names.ts'
import type { Nic } from '../model/plan.ts'
import { lastPart, type VmRecord } from '../model/records.ts'
import type { VmSpec } from '../model/vm.ts'
import type { AddressBook } from './addresses.ts'
import { envPeers } from './peers.ts'
import type { HostViews } from './views.ts'

/** The places of this host's VMs on the network: what the driver was told of each, and what it is to be told. */
export interface Links extends Disposable {
  /** Makes the machine hold exactly the links of all VMs this host has claimed and given an address: what is told from then on are changes. */
  begin(): Promise<void>
  /** Makes the VM's place be as wanted, ports included; its record is written already. */
  connect(vm: VmSpec, record: VmRecord): Promise<Nic | undefined>
  /** Follows what changed of a VM that is made already: new ports are written down first. Gives its record as it is then. */
  follow(vm: VmSpec, record: VmRecord, how: { running: boolean; write: (record: VmRecord) => Promise<void> }): Promise<VmRecord>
  disconnect(id: string): Promise<void>
  /** The network tells guests that ask by DHCP their address. */
  readonly dhcp: boolean
  /** The VM's card, as the driver gave it. */
  nicOf(id: string): Nic | undefined
  /** Makes the machine hold again exactly what the driver was told, whoever changed it. */
  mend(): Promise<void>
  /** The links of all VMs this host has claimed and given an address, as they are wanted now. */
  owned(): Link[]
  /** Calls back with the uid of an ENV whose VMs may be wanted at another place than the driver was told; returns how to stop. */
  onChange(listener: (envUid: string) => void): () => void
}

export interface LinkOptions {
  name: string
  views: HostViews
  network: NetworkDriver
  addresses: AddressBook
  uidOf: (ip: string) => number | undefined
}

export function hostLinks({ name, views, network, addresses, uidOf }: LinkOptions): Links {
  const peers = envPeers(views)
  /** By id, what the driver holds as far as it was told. */
  const told = new Map<string, Link>()
  const cards = new Map<string, Nic>()
  /** A change and a repair of the whole wait for each other, so that none undoes the other. */
  const turns = gate(1)
  const listeners = new Set<(envUid: string) => void>()
  const tell = (envUid: string) => listeners.forEach((listener) => listener(envUid))

  /** By ENV and slice, until anything changes that it was made of: all VMs of a slice share one list. */
  const lists = new Map<string, string[]>()
  const peerSlices = (id: string, slice: string): string[] => {
    const env = views.envOf(parseVmId(id)?.envUid ?? '')
    if (!env) return []
    const key = `${env.uid} ${slice}`
    const there = lists.get(key)
    if (there) return there
    // A driver that cannot connect two slices is not asked to, unless somebody asked for it.
    const own = network.features.peers ? addresses.slicesOf(env.uid).filter((one) => one !== slice) : []
    const found = [...own, ...peers.of(env).flatMap(({ uid }) => addresses.slicesOf(uid))].sort()
    lists.set(key, found)
    return found
  }
  const linkOf = (vm: Pick<VmSpec, 'id' | 'denyOutgoing' | 'deny'>, { slice, ip, mac, ports }: VmRecord): Link => {
    const owner = uidOf(ip)
    return { id: vm.id, slice, ip, mac, ports, denyOutgoing: vm.denyOutgoing, deny: vm.deny ?? [], peers: peerSlices(vm.id, slice), ...(owner === undefined ? {} : { owner }) }
  }
  const owned = (): Link[] => {
    const claimed = new Set(views.claims.entries().filter(({ value }) => value.host === name).map(({ key }) => lastPart(key)))
    return views.vms.entries().flatMap(({ key, value }) => {
      const id = lastPart(key)
      return claimed.has(id) && value.ip !== '' ? [linkOf(lastWish(views, id), value)] : []
    })
  }
  const batch = batcher<{ put: Link } | { remove: string }, Nic | undefined>((items) =>
    turns.pass(async () => {
      const put = items.flatMap((item) => ('put' in item ? [item.put] : []))
      const remove = items.flatMap((item) => ('remove' in item ? [item.remove] : []))
      const nics = new Map((await network.change({ put, remove })).map((nic) => [nic.id, nic]))
      for (const link of put) told.set(link.id, link)
      for (const nic of nics.values()) cards.set(nic.id, nic)
      for (const id of remove) {
        told.delete(id)
        cards.delete(id)
      }
      return items.map((item) => ('put' in item ? nics.get(item.put.id) : undefined))
    }),
  )
  const connect = async (vm: VmSpec, record: VmRecord) => {
    const nic = await batch.add({ put: linkOf(vm, record) })
    addresses.settle(vm.id)
    return nic
  }
  const stops = [
    peers.onChange((uid) => {
      lists.clear()
      tell(uid)
    }),
    addresses.onSlices((uid) => {
      lists.clear()
      const env = views.envOf(uid)
      if (env) for (const one of [env, ...peers.of(env)]) tell(one.uid)
    }),
  ]
  return {
    connect,
    owned,
    async begin() {
      await turns.pass(async () => {
        const links = owned()
        for (const nic of await network.reconcile(links)) cards.set(nic.id, nic)
        for (const link of links) told.set(link.id, link)
      })
    },
    async follow(vm, record, { running, write }) {
      const env = views.envOf(parseVmId(vm.id)?.envUid ?? '')
      if (!env) return record
      const known = told.get(vm.id)
      if (running && known && !network.features.live && (!sameInner(record.ports, vm.ports) || !sameLink(known, linkOf(vm, record)))) refuseLive(vm)
      const { ports } = addresses.reserve(vm.id, { env: env.uid, vms: countVms(env.spec), ports: vm.ports })
      const now = samePorts(ports, record.ports) ? record : { ...record, ports }
      if (now !== record) await write(now)
      if (!known || !sameLink(known, linkOf(vm, now))) await connect(vm, now)
      return now
    },
    async disconnect(id) {
      await batch.add({ remove: id })
    },
    dhcp: network.features.dhcp,
    nicOf: (id) => cards.get(id),
    mend: () => turns.pass(async () => void (await network.reconcile([...told.values()]))),
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    [Symbol.dispose]() {
      stops.forEach((stop) => stop())
      peers[Symbol.dispose]()
    },
  }
}

/** What was last wanted of a VM that may be about to go. Of one that nobody speaks of any more nothing is allowed. */
function lastWish(views: HostViews, id: string): Pick<VmSpec, 'id' | 'denyOutgoing' | 'deny'> {
  const parts = parseVmId(id)
  const env = parts && views.envOf(parts.envUid)
  return (env && expandOne(env, parts.index)) ?? { id, denyOutgoing: true, deny: [] }
}

function refuseLive({ id, env }: VmSpec): never {
  fail('unsupported', 'the network driver of this host changes neither the ports of a guest that runs nor what it may reach', {
    subject: `vm/${id}`,
    remedy: `it holds from its next start: \`tt env stop ${env}\` and \`tt env start ${env}\``,
  })
}

const sameInner = (ports: Record<number, number>, inner: readonly number[]) => [...new Set(inner)].sort((a, b) => a - b).join() === Object.keys(ports).join()
const samePorts = (one: Record<number, number>, other: Record<number, number>) => JSON.stringify(one) === JSON.stringify(other)

/** Most of what two links of one VM have is not only equal but the same thing. */
function sameLink(one: Link, other: Link): boolean {
  const fields = Object.keys(one) as (keyof Link)[]
  return fields.length === Object.keys(other).length && fields.every((field) => one[field] === other[field] || (typeof one[field] === 'object' && JSON.stringify(one[field]) === JSON.stringify(other[field])))
}
