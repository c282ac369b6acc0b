import type { Cidr } from '../../base/ipv4.ts'
import { denyParts } from './deny.ts'
import type { Link } from './network.ts'

/** What holds for a slice as a whole. */
export interface Segment {
  /** As the link said that was put last. */
  peers: string[]
  /** The far part of the list that most of its links have, so that it has to be told once and not for each of them. */
  far: string[]
}

/** The slices of links, and what follows from the links of each. Links have their lists in the one form of `denyList`. */
export interface Segments {
  add(link: Link): void
  drop(link: Link): void
  get(slice: string): Segment | undefined
  /** Ids of the links on it. */
  idsOn(slice: string): ReadonlySet<string>
  all(): [slice: string, segment: Segment][]
}

export function segments(subnet: Cidr, links: Iterable<Link> = []): Segments {
  const bySlice = new Map<string, Slice>()
  const shown = (slice: Slice): Segment => ({ peers: slice.peers, far: (slice.usual ??= usualOf(slice)) })
  const farOf = ({ deny }: Link) => (deny.length === 0 ? deny : denyParts(subnet, deny).far)

  const kept: Segments = {
    add(link) {
      const slice: Slice = bySlice.get(link.slice) ?? { ids: new Set(), peers: [], lists: new Map() }
      bySlice.set(link.slice, slice)
      const far = farOf(link)
      const key = far.join()
      const list = slice.lists.get(key) ?? { key, far, count: 0 }
      list.count++
      slice.lists.set(key, list)
      slice.ids.add(link.id)
      slice.peers = link.peers
      slice.usual = undefined
    },
    drop(link) {
      const slice = bySlice.get(link.slice)
      if (!slice?.ids.delete(link.id)) return
      const key = farOf(link).join()
      const list = slice.lists.get(key)
      if (list && --list.count === 0) slice.lists.delete(key)
      slice.usual = undefined
      if (slice.ids.size === 0) bySlice.delete(link.slice)
    },
    get(slice) {
      const found = bySlice.get(slice)
      return found && shown(found)
    },
    idsOn: (slice) => bySlice.get(slice)?.ids ?? new Set(),
    all: () => [...bySlice].map(([slice, found]) => [slice, shown(found)]),
  }
  for (const link of links) kept.add(link)
  return kept
}

interface Slice {
  ids: Set<string>
  peers: string[]
  lists: Map<string, List>
  /** Worked out when it is asked for. */
  usual?: string[] | undefined
}
interface List {
  key: string
  far: string[]
  count: number
}

/** What most links have; of two lists as usual the one that comes first, so that it follows from the links alone. */
function usualOf({ lists }: Slice): string[] {
  let best: List = { key: '', far: [], count: 0 }
  for (const list of lists.values()) if (list.count > best.count || (list.count === best.count && list.key < best.key)) best = list
  return best.far
}
