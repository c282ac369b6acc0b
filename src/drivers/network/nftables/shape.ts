import type { Book } from '../book.ts'
import type { Link } from '../network.ts'
import type { Segment } from '../segments.ts'
import { bridgeOf, gatewayOf, tapOf } from './names.ts'
import { addLink, addSlice, type Elements, type Realm } from './ruleset.ts'

/** Everything of this server on the machine, as it is or as it should be. */
export interface Shape {
  bridges: Map<string, Bridge>
  taps: Map<string, Tap>
  elements: Elements
}

export interface Bridge {
  /** With the length of its prefix. */
  address: string
  mac: string
  up: boolean
}

export interface Tap {
  bridge: string
  up: boolean
  /** Who may open it; anybody with the right to make taps, if undefined. */
  owner?: number
  /** Somebody began to remove it. */
  doomed?: boolean
}

/** Links and the slices they are on, as a book tells them. */
export interface Part {
  links: readonly Link[]
  segments: ReadonlyMap<string, Segment>
}

export const wholeOf = (book: Pick<Book, 'links' | 'segments'>): Part => ({ links: book.links(), segments: book.segments() })

/** What there is for these. */
export function shapeOf(realm: Realm, { links, segments }: Part): Shape {
  const { mark } = realm
  const shape: Shape = { bridges: new Map(), taps: new Map(), elements: new Map() }
  for (const [slice, segment] of segments) {
    const { ip, prefixLength, mac } = gatewayOf(slice)
    shape.bridges.set(bridgeOf(mark, slice), { address: `${ip}/${prefixLength}`, mac, up: true })
    addSlice(shape.elements, realm, { slice, segment })
  }
  for (const link of links) {
    shape.taps.set(tapOf(mark, link.ip), { bridge: bridgeOf(mark, link.slice), up: true, ...(link.owner === undefined ? {} : { owner: link.owner }) })
    addLink(shape.elements, realm, { link, segment: segments.get(link.slice) as Segment })
  }
  return shape
}

/** What to do, in this order: `replace`, `bridges`, `taps`, the elements in one transaction, taps up, `remove`. */
export interface Steps {
  /** Interfaces that are in the way of one of the same name. */
  replace: string[]
  /** To be made, or to be set right where they are. */
  bridges: { name: string; bridge: Bridge; make: boolean }[]
  taps: { name: string; tap: Tap; make: boolean }[]
  added: Elements
  /** Keys. */
  removed: string[]
  remove: string[]
}

/** The way from one shape to another. Nothing is touched that is the same in both. */
export function stepsBetween(from: Shape, to: Shape): Steps {
  const steps: Steps = { replace: [], bridges: [], taps: [], added: new Map(), removed: [], remove: [] }
  for (const [name, bridge] of to.bridges) {
    const is = from.bridges.get(name)
    if (!is || !sameBridge(is, bridge)) steps.bridges.push({ name, bridge, make: !is })
  }
  for (const [name, tap] of to.taps) {
    const is = from.taps.get(name)
    const replace = is !== undefined && (is.owner !== tap.owner || is.doomed === true)
    if (replace) steps.replace.push(name)
    if (!is || replace || is.bridge !== tap.bridge || is.up !== tap.up) steps.taps.push({ name, tap, make: !is || replace })
  }
  if (from.elements.size === 0) steps.added = to.elements // All of them, and there may be tens of thousands.
  else
    for (const [key, text] of to.elements) {
      const is = from.elements.get(key)
      if (is === text) continue
      if (is !== undefined) steps.removed.push(key)
      steps.added.set(key, text)
    }
  for (const key of from.elements.keys()) if (!to.elements.has(key)) steps.removed.push(key)
  for (const name of from.taps.keys()) if (!to.taps.has(name)) steps.remove.push(name)
  for (const name of from.bridges.keys()) if (!to.bridges.has(name)) steps.remove.push(name)
  return steps
}

const sameBridge = (one: Bridge, other: Bridge) => one.address === other.address && one.mac === other.mac && one.up === other.up
