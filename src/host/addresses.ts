import { fail } from '../model/errors.ts'
import { macOf } from '../model/names.ts'
import { publicPorts } from './public-ports.ts'

/** Where a VM is reached; kept in its record from before it is made until after it is gone. */
export interface Place {
  /** CIDR of the segment it shares with VMs of its ENV. */
  slice: string
  ip: string
  mac: string
  ports: Record<number, number>
}

/** Gives out addresses and public ports of this host. Holds no truth: it is filled from the records when the server starts. */
export interface AddressBook {
  /**
   * The VM's place: new, or the one it has. Wanted with other inner ports than before, those that stay keep their public ports, new ones get some, and those of
   * inner ports that are gone are kept from others until `settle`. `vms` is how many its ENV has in all, for the size of new slices.
   * Refuses with `exhausted`, and then nothing has changed.
   */
  reserve(id: string, wish: { env: string; vms: number; ports: readonly number[] }): Place
  /** Gives back the public ports the VM has no more: once its record is written and nothing leads them to it. */
  settle(id: string): void
  /** Notes a place a record speaks of. */
  adopt(id: string, env: string, place: Place): void
  release(id: string): void
  /** The slices of an ENV, those among them that nobody is on yet. */
  slicesOf(env: string): string[]
  /** Calls back with an ENV whose slices have changed; returns how to stop. */
  onSlices(listener: (env: string) => void): () => void
}

/** A Linux bridge takes 1,023 ports, so no slice is larger than this. */
const largestSlice = 22
const smallestSlice = 28

interface Slice {
  base: number
  length: number
  used: Set<number>
  next: number
  full: boolean
}

export function addressBook(options: { subnet: string; portFrom: number; portTo: number }): AddressBook {
  const subnet = parseCidr(options.subnet)
  const slices = new Map<number, Slice>()
  const byEnv = new Map<string, Slice[]>()
  const places = new Map<string, { env: string; place: Place; retired: number[] }>()
  const ports = publicPorts(options.portFrom, options.portTo)
  const listeners = new Set<(env: string) => void>()
  let nextBase = subnet.base

  const addSlice = (env: string, base: number, length: number): Slice => {
    const slice = { base, length, used: new Set<number>(), next: base + 2, full: false }
    slices.set(base, slice)
    byEnv.set(env, [...(byEnv.get(env) ?? []), slice])
    changed(env)
    return slice
  }
  const dropSlices = (env: string, which: (slice: Slice) => boolean) => {
    const [gone, left] = [(byEnv.get(env) ?? []).filter(which), (byEnv.get(env) ?? []).filter((slice) => !which(slice))]
    for (const { base } of gone) slices.delete(base)
    if (left.length > 0) byEnv.set(env, left)
    else byEnv.delete(env)
    if (gone.length > 0) changed(env)
  }
  const changed = (env: string) => listeners.forEach((listener) => listener(env))
  const freeSlice = (env: string, length: number): Slice => {
    const size = 2 ** (32 - length)
    const end = subnet.base + 2 ** (32 - subnet.length)
    const taken = (base: number) => [...slices.values()].some((slice) => base < slice.base + 2 ** (32 - slice.length) && slice.base < base + size)
    // From where the last one was given, so that an address rests as long as it can before it is another guest's.
    const start = Math.ceil(nextBase / size) * size
    for (const from of [start, subnet.base]) {
      for (let base = from; base + size <= end; base += size) {
        if (taken(base)) continue
        nextBase = base + size
        return addSlice(env, base, length)
      }
    }
    fail('exhausted', `the subnet ${options.subnet} has no room for another segment`, { subject: 'host', remedy: 'start the server with a larger --subnet' })
  }
  const freeIp = (slice: Slice): number | undefined => {
    if (slice.full) return undefined // An ENV of thousands has many full ones, and a look goes through all their addresses.
    const end = slice.base + 2 ** (32 - slice.length) - 1
    const usable = (ip: number) => !slice.used.has(ip) && (ip & 255) !== 0 && (ip & 255) !== 255
    for (const [from, to] of [
      [slice.next, end],
      [slice.base + 2, slice.next],
    ] as const) {
      for (let ip = from; ip < to; ip++) if (usable(ip)) return ip
    }
    slice.full = true
    return undefined
  }
  /** Slices for all VMs the ENV has: the later ones are then known when the first VM is made, and nobody has to be told again. */
  const addSlices = (env: string, vms: number): Slice => {
    const missing = () => vms - (byEnv.get(env) ?? []).reduce((sum, { length }) => sum + roomIn(length), 0)
    const first = freeSlice(env, Math.max(subnet.length, sliceLength(missing())))
    try {
      while (missing() > 0) freeSlice(env, Math.max(subnet.length, sliceLength(missing())))
    } catch {
      // There is room for some of them; the first of the others is told.
    }
    return first
  }
  const move = (id: string, inner: readonly number[]): Place => {
    const known = places.get(id) as NonNullable<ReturnType<typeof places.get>>
    const { place } = known
    const stays = Object.fromEntries(Object.entries(place.ports).filter(([port]) => inner.includes(Number(port))))
    const given = ports.take(inner.filter((port) => !(port in place.ports)))
    known.retired.push(...Object.entries(place.ports).flatMap(([port, outer]) => (port in stays ? [] : [outer])))
    known.place = { ...place, ports: { ...stays, ...given } }
    return known.place
  }
  return {
    reserve(id, { env, vms, ports: inner }) {
      const known = places.get(id)
      if (known) return samePorts(known.place.ports, inner) ? known.place : move(id, inner)
      const open = byEnv.get(env)?.find((slice) => freeIp(slice) !== undefined)
      const given = ports.take(inner)
      try {
        const slice = open ?? addSlices(env, vms)
        const ip = freeIp(slice) ?? fail('exhausted', `the segment ${cidr(slice)} is full`)
        slice.used.add(ip)
        slice.next = ip + 1
        const place = { slice: cidr(slice), ip: dotted(ip), mac: macOf(dotted(ip)), ports: given }
        places.set(id, { env, place, retired: [] })
        return place
      } catch (full) {
        ports.give(Object.values(given))
        throw full
      }
    },
    settle(id) {
      ports.give(places.get(id)?.retired.splice(0) ?? [])
    },
    adopt(id, env, place) {
      if (places.has(id)) return
      const { base, length } = parseCidr(place.slice)
      const slice = slices.get(base) ?? addSlice(env, base, length)
      slice.used.add(parseIp(place.ip))
      ports.adopt(Object.values(place.ports))
      places.set(id, { env, place, retired: [] })
    },
    release(id) {
      const known = places.get(id)
      if (!known) return
      places.delete(id)
      ports.give([...known.retired, ...Object.values(known.place.ports)])
      const slice = slices.get(parseCidr(known.place.slice).base)
      if (!slice) return
      slice.used.delete(parseIp(known.place.ip))
      slice.full = false
      if (slice.used.size > 0) return
      const last = (byEnv.get(known.env) ?? []).every((one) => one.used.size === 0)
      dropSlices(known.env, (one) => one === slice || last)
    },
    slicesOf: (env) => (byEnv.get(env) ?? []).map(cidr),
    onSlices(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

const samePorts = (ports: Record<number, number>, inner: readonly number[]): boolean => {
  const wanted = new Set(inner)
  return wanted.size === Object.keys(ports).length && [...wanted].every((port) => port in ports)
}

/** Addresses for guests in a slice of this length: not its network, its gateway, its broadcast, nor any that ends in 0 or 255. */
const roomIn = (length: number): number => {
  const addresses = 2 ** (32 - length)
  return addresses - 2 - Math.ceil(addresses / 256) * 2
}

/** The smallest slice with room for so many VMs, besides its network, gateway and the addresses that end in 0 or 255. */
export function sliceLength(vms: number): number {
  for (let length = smallestSlice; length > largestSlice; length--) if (roomIn(length) >= vms) return length
  return largestSlice
}

/** Base address as a number, and prefix length. `invalid` for anything but IPv4 CIDR on its boundary. */
export function parseCidr(text: string): { base: number; length: number } {
  const match = /^(\d{1,3}(?:\.\d{1,3}){3})\/(\d{1,2})$/.exec(text)
  const length = Number(match?.[2])
  const base = parseIp(match?.[1] ?? '')
  if (!match || length > 30 || length < 8 || Number.isNaN(base) || base % 2 ** (32 - length) !== 0) {
    fail('invalid', `${JSON.stringify(text)} is not a subnet`, { remedy: 'write it as 10.77.0.0/16, from /8 to /30, with the host part 0' })
  }
  return { base, length }
}

/** An IPv4 address as a number, NaN if it is none. */
export function parseIp(text: string): number {
  const parts = text.split('.').map(Number)
  if (parts.length !== 4 || parts.some((part) => !Number.isInteger(part) || part < 0 || part > 255)) return Number.NaN
  return parts.reduce((sum, part) => sum * 256 + part, 0)
}

const dotted = (ip: number): string => [24, 16, 8, 0].map((shift) => Math.floor(ip / 2 ** shift) % 256).join('.')
const cidr = ({ base, length }: Slice): string => `${dotted(base)}/${length}`
