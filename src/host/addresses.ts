import { fail } from '../model/errors.ts'
import { macOf } from '../model/names.ts'

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
  /** The VM's place, new or the one it has. `vms` is how many its ENV has in all, for the size of a new slice. */
  reserve(id: string, wish: { env: string; vms: number; ports: readonly number[] }): Place
  /** Notes a place a record speaks of. */
  adopt(id: string, env: string, place: Place): void
  release(id: string): void
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
  const places = new Map<string, { env: string; place: Place }>()
  const ports = portPool(options.portFrom, options.portTo)
  let nextBase = subnet.base

  const addSlice = (env: string, base: number, length: number): Slice => {
    const slice = { base, length, used: new Set<number>(), next: base + 2, full: false }
    slices.set(base, slice)
    byEnv.set(env, [...(byEnv.get(env) ?? []), slice])
    return slice
  }
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
  return {
    reserve(id, { env, vms, ports: inner }) {
      const known = places.get(id)
      if (known) return known.place
      const open = byEnv.get(env)?.find((slice) => freeIp(slice) !== undefined)
      const slice = open ?? freeSlice(env, Math.max(subnet.length, sliceLength(vms - (byEnv.get(env) ?? []).reduce((sum, one) => sum + one.used.size, 0))))
      const ip = freeIp(slice) ?? fail('exhausted', `the segment ${cidr(slice)} is full`)
      const given = ports.take(inner)
      slice.used.add(ip)
      slice.next = ip + 1
      const place = { slice: cidr(slice), ip: dotted(ip), mac: macOf(dotted(ip)), ports: given }
      places.set(id, { env, place })
      return place
    },
    adopt(id, env, place) {
      if (places.has(id)) return
      const { base, length } = parseCidr(place.slice)
      const slice = slices.get(base) ?? addSlice(env, base, length)
      slice.used.add(parseIp(place.ip))
      ports.adopt(Object.values(place.ports))
      places.set(id, { env, place })
    },
    release(id) {
      const known = places.get(id)
      if (!known) return
      places.delete(id)
      ports.give(Object.values(known.place.ports))
      const slice = slices.get(parseCidr(known.place.slice).base)
      if (!slice) return
      slice.used.delete(parseIp(known.place.ip))
      slice.full = false
      if (slice.used.size > 0) return
      slices.delete(slice.base)
      const left = (byEnv.get(known.env) ?? []).filter((one) => one !== slice)
      if (left.length > 0) byEnv.set(known.env, left)
      else byEnv.delete(known.env)
    },
  }
}

/** The smallest slice with room for so many VMs, besides its network, gateway and the addresses that end in 0 or 255. */
export function sliceLength(vms: number): number {
  for (let length = smallestSlice; length > largestSlice; length--) {
    const addresses = 2 ** (32 - length)
    if (addresses - 2 - Math.ceil(addresses / 256) * 2 >= vms) return length
  }
  return largestSlice
}

function portPool(from: number, to: number) {
  const used = new Set<number>()
  let next = from
  const one = (): number => {
    for (let tries = 0; tries <= to - from; tries++) {
      const port = next
      next = next === to ? from : next + 1
      if (!used.has(port)) return port
    }
    fail('exhausted', `all ${to - from + 1} public ports (${from} to ${to}) of this host are in use`, { subject: 'host', remedy: 'delete an ENV, or start the server with a larger --port-range' })
  }
  return {
    take(inner: readonly number[]): Record<number, number> {
      const given: Record<number, number> = {}
      try {
        for (const port of inner) used.add((given[port] = one()))
      } catch (full) {
        Object.values(given).forEach((port) => used.delete(port))
        throw full
      }
      return given
    },
    adopt: (ports: number[]) => ports.forEach((port) => used.add(port)),
    give: (ports: number[]) => ports.forEach((port) => used.delete(port)),
  }
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
