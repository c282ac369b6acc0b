import { type Cidr, cidrOf, cidrText, contains } from '../../base/ipv4.ts'

/** Most addresses and prefixes one link may name. */
export const denyLimit = 1000

/**
 * Addresses and prefixes in one form: in order of their numbers, none twice, none inside another; an address has no length. What is none of both is left
 * out. What speaks of guests stays although a wider prefix, which does not, holds it.
 */
export function denyList(subnet: Cidr, texts: readonly string[]): string[] {
  if (texts.length === 0) return []
  const ranges = texts.flatMap((text) => cidrOf(text) ?? []).sort(inOrder)
  const { near = [], far = [] } = Object.groupBy(ranges, (range) => (contains(subnet, range) ? 'near' : 'far'))
  return [...outermost(near), ...outermost(far)].sort(inOrder).map((range) => cidrText(range).replace(/\/32$/, ''))
}

const inOrder = (one: Cidr, other: Cidr) => one.network - other.network || one.prefixLength - other.prefixLength

/** Of ranges in order. Of two ranges one holds the other or they have nothing in common, so the last one kept is all there is to ask. */
function outermost(ranges: readonly Cidr[]): Cidr[] {
  const kept: Cidr[] = []
  for (const range of ranges) {
    const last = kept.at(-1)
    if (last === undefined || !contains(last, range)) kept.push(range)
  }
  return kept
}

/**
 * Denied addresses in two parts. `near` are those of guests, named as such; `far` is all else, prefixes wider than the whole subnet among them: who
 * denies 10.0.0.0/8 speaks of a network outside, and not of the neighbours that happen to have their addresses there.
 */
export function denyParts(subnet: Cidr, list: readonly string[]): { near: string[]; far: string[] } {
  const { near = [], far = [] } = Object.groupBy(list, (text) => (contains(subnet, cidrOf(text) as Cidr) ? 'near' : 'far'))
  return { near, far }
}
