import { type Cidr, cidrOf, contains, holds, ipv4Of, overlap, sizeOf } from '../../base/ipv4.ts'
import { fail } from '../../model/errors.ts'
import { shown } from '../../model/names.ts'
import { denyLimit, denyList } from './deny.ts'
import type { Link } from './network.ts'
import { type Segment, segments } from './segments.ts'

/** What `NetworkDriver.change` is asked. */
export interface Change {
  put: readonly Link[]
  remove: readonly string[]
}

/** The links a driver holds, by everything that may belong to one only. It knows no machine. */
export interface Book {
  get(id: string): Link | undefined
  /** The link that has this address. */
  at(ip: string): Link | undefined
  links(): Link[]
  readonly size: number
  /** Slices as a whole: those of these that have a link, or all. */
  segments(slices?: readonly string[]): Map<string, Segment>
  /** The links on a slice. */
  on(slice: string): Link[]
  /** Whether the link is held, and just so. */
  has(link: Link): boolean
  /** Refuses with `invalid` what no driver can do and with `conflict` what another link has; changes nothing. */
  check(change: Change): void
  /** Takes a checked change over; gives the one that takes it back. */
  apply(change: Change): Change
}

/** A book for links in `subnet`. */
export function linkBook(subnet: string, links: readonly Link[] = []): Book {
  const range = cidrOf(subnet) ?? fail('invalid', `the subnet ${shown(subnet)} is no range of addresses`, { remedy: 'write it like 10.77.0.0/16' })
  const byId = new Map<string, Link>()
  const owners = byClaim()
  const slices = segments(range)

  const drop = (id: string) => {
    const link = byId.get(id)
    if (!link) return
    byId.delete(id)
    forClaims(link, (what, value) => owners[what].get(value) === id && owners[what].delete(value))
    slices.drop(link)
  }
  const add = (given: Link) => {
    const peers = peerList(given.peers)
    const known = slices.get(given.slice)?.peers ?? []
    // Copies, for the caller may go on to change its own; and one list of peers for the whole slice.
    const link = { ...given, ports: { ...given.ports }, deny: denyList(range, given.deny), peers: sameTexts(known, peers) ? known : peers }
    drop(link.id)
    byId.set(link.id, link)
    forClaims(link, (what, value) => owners[what].set(value, link.id))
    slices.add(link)
  }
  links.forEach(add)
  /** As it is held; its peers are those of its slice, whoever named them. */
  const held = (link: Link): Link => {
    const { peers = [] } = slices.get(link.slice) ?? {}
    return link.peers === peers ? link : { ...link, peers }
  }

  /** A slice is known as it is or new as a whole, next to those that still have a link after the change. */
  const checkSlices = ({ put, remove }: Change) => {
    const fresh = new Map(put.filter(({ slice }) => !slices.get(slice)).map(({ slice, id }) => [slice, id]))
    if (fresh.size === 0) return
    const left = new Map(slices.all().map(([slice]) => [slice, slices.idsOn(slice).size]))
    for (const id of [...remove, ...put.map(({ id }) => id)]) {
      const { slice } = byId.get(id) ?? {}
      if (slice !== undefined) left.set(slice, (left.get(slice) ?? 0) - 1)
    }
    const known = new Map([...left].filter(([, count]) => count > 0).map(([text]) => [text, cidrOf(text) as Cidr]))
    for (const [slice, id] of fresh) {
      const wanted = cidrOf(slice) as Cidr
      const other = [...known].find(([, taken]) => overlap(taken, wanted))
      if (other) fail('conflict', `the slice ${slice} overlaps the slice ${other[0]}`, { subject: `vm/${id}` })
      known.set(slice, wanted)
    }
  }

  return {
    get: (id) => {
      const link = byId.get(id)
      return link && held(link)
    },
    at: (ip) => {
      const link = byId.get(owners.address.get(ip) ?? '')
      return link && held(link)
    },
    links: () => [...byId.values()].map(held),
    get size() {
      return byId.size
    },
    segments: (some) => new Map(some === undefined ? slices.all() : some.flatMap((slice): [string, Segment][] => [[slice, slices.get(slice)]].filter(([, found]) => found !== undefined) as [string, Segment][])),
    on: (slice) => [...slices.idsOn(slice)].flatMap((id) => byId.get(id) ?? []).map(held),
    has: (link) => {
      const known = byId.get(link.id)
      return known !== undefined && sameLink(held(known), { ...link, deny: denyList(range, link.deny) })
    },
    check(change) {
      const { put, remove } = change
      const rangeOf = remembering(cidrOf) // Thousands of links are on few slices.
      const leaving = new Set(remove)
      const fresh = new Set<string>()
      const taken = byClaim()
      for (const link of put) {
        checkLink(link, range, rangeOf)
        if (fresh.has(link.id) || leaving.has(link.id)) fail('invalid', 'the link is in the change twice', { subject: `vm/${link.id}` })
        fresh.add(link.id)
      }
      for (const link of put)
        forClaims(link, (what, value) => {
          const holder = owners[what].get(value)
          const stays = holder !== undefined && !fresh.has(holder) && !leaving.has(holder)
          const other = stays ? holder : taken[what].get(value)
          if (other !== undefined) fail('conflict', `the ${what} ${value} belongs to vm/${other}`, { subject: `vm/${link.id}` })
          taken[what].set(value, link.id)
        })
      checkSlices(change)
    },
    apply({ put, remove }) {
      const ids = new Set([...put.map(({ id }) => id), ...remove])
      // A slice gets its peers back by any link on it that is put again.
      for (const { slice, peers } of put) if (!sameTexts(peerList(peers), slices.get(slice)?.peers ?? [])) for (const id of [...slices.idsOn(slice)].slice(0, 1)) ids.add(id)
      const before = [...ids].flatMap((id) => byId.get(id) ?? []).map(held)
      const were = new Set(before.map(({ id }) => id))
      remove.forEach(drop)
      put.forEach(add)
      return { put: before, remove: put.flatMap(({ id }) => (were.has(id) ? [] : [id])) }
    },
  }
}

/** What may belong to one link only. */
type Claim = 'address' | 'MAC' | 'public port'
const byClaim = (): Record<Claim, Map<string | number, string>> => ({ address: new Map(), MAC: new Map(), 'public port': new Map() })

function forClaims({ ip, mac, ports }: Link, each: (what: Claim, value: string | number) => unknown): void {
  each('address', ip)
  each('MAC', mac)
  for (const inner in ports) each('public port', ports[inner] as number)
}

/** Ids go into names on the machine and into lines of commands. */
const linkId = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
/** Lower case, and not a group's: its first byte is even. */
const unicastMac = /^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/

function checkLink(link: Link, subnet: Cidr, rangeOf: typeof cidrOf): void {
  const refuse = (why: string): never => fail('invalid', why, { subject: `vm/${link.id}` })
  if (!linkId.test(link.id)) fail('invalid', `${shown(link.id)} is no id of a link`)
  const slice = rangeOf(link.slice) ?? refuse(`the slice ${shown(link.slice)} is no range of addresses`)
  if (slice.prefixLength < 22 || slice.prefixLength > 30) refuse(`the slice ${link.slice} is not between a /22 and a /30`)
  if (!contains(subnet, slice)) refuse(`the slice ${link.slice} is not in the subnet`)
  const address = ipv4Of(link.ip) ?? refuse(`${shown(link.ip)} is no IPv4 address`)
  if (!holds(slice, address)) refuse(`the address ${link.ip} is not in the slice ${link.slice}`)
  if (address - slice.network <= 1 || address === slice.network + sizeOf(slice) - 1) refuse(`the address ${link.ip} is none for a guest of ${link.slice}`)
  if (!unicastMac.test(link.mac)) refuse(`${shown(link.mac)} is no MAC of a card, in lower case`)
  for (const inner in link.ports) {
    const outer = link.ports[inner] as number
    if (!isPort(Number(inner)) || !isPort(outer)) refuse(`${shown(`${inner}: ${outer}`)} is no pair of ports from 1 to 65535`)
  }
  if (link.deny.length > denyLimit) refuse(`it denies ${link.deny.length} addresses, ${denyLimit} are allowed`)
  for (const text of link.deny) if (!cidrOf(text)) refuse(`${shown(text)}, which is to be denied, is no IPv4 address and no prefix`)
  for (const text of link.peers) {
    const peer = rangeOf(text)
    if (!peer || peer.prefixLength < 22 || peer.prefixLength > 30 || !contains(subnet, peer)) refuse(`the peer ${shown(text)} is no slice of the subnet`)
    else if (overlap(peer, slice)) refuse(`the peer ${text} overlaps the slice ${link.slice}`)
  }
  if (link.owner !== undefined && !(Number.isInteger(link.owner) && link.owner >= 0 && link.owner < 2 ** 32 - 1)) refuse(`${link.owner} is no user`)
}

function remembering<T>(of: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>()
  return (text) => {
    const found = known.get(text)
    if (found !== undefined) return found
    const made = of(text)
    known.set(text, made)
    return made
  }
}

const isPort = (port: number) => Number.isInteger(port) && port >= 1 && port <= 65_535

const sameLink = (one: Link, other: Link): boolean =>
  one.id === other.id &&
  one.slice === other.slice &&
  one.ip === other.ip &&
  one.mac === other.mac &&
  one.denyOutgoing === other.denyOutgoing &&
  one.owner === other.owner &&
  portsText(one.ports) === portsText(other.ports) &&
  sameTexts(one.deny, other.deny) &&
  sameTexts(one.peers, peerList(other.peers))

/** In one order, none twice. */
const peerList = (peers: readonly string[]): string[] => (peers.length < 2 ? [...peers] : [...new Set(peers)].sort())

const sameTexts = (some: readonly string[], others: readonly string[]) => some.length === others.length && some.every((text, at) => text === others[at])
const portsText = (ports: Record<number, number>) => JSON.stringify(Object.entries(ports)) // Keys that are numbers come in their order.
