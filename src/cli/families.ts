import type { EnvSpec, FullGroup, Group } from '../model/env.ts'
import { fullGroups } from '../model/expand.ts'

/** The VMs of one image, or of one named group: what people count, however many runs of indices the record keeps them in. */
export interface Family {
  /** What it is called: its group's name, else its image. */
  label: string
  groups: readonly [FullGroup, ...FullGroup[]]
  /** VMs, without those that were taken out. */
  living: number
}

/** The families of an ENV, in the order of its record. */
export function familiesOf(spec: EnvSpec): Family[] {
  const families = new Map<string, [FullGroup, ...FullGroup[]]>()
  for (const group of fullGroups(spec)) {
    const key = `${group.name ?? ''} ${group.image}`
    const family = families.get(key)
    if (family) family.push(group)
    else families.set(key, [group])
  }
  const kicked = new Set(spec.kicked)
  return [...families.values()].map((groups) => ({ label: groups[0].name ?? groups[0].image, groups, living: living(groups, kicked) }))
}

/** The family as one group to ask for, so that its count is that of all. */
export function asOne({ groups }: Family): Group {
  const { first: _first, ...group } = groups[0]
  return { ...group, count: total(groups) }
}

/** The count to ask for so that so many VMs live: what was taken out stays out. */
export function countFor({ groups }: Family, wanted: number, kicked: ReadonlySet<number>): number {
  let alive = 0
  let count = 0
  for (const group of groups) {
    for (let index = group.first; index < group.first + group.count; index++) {
      if (alive === wanted && count > 0) return count
      count++
      if (!kicked.has(index)) alive++
    }
  }
  return count + (wanted - alive)
}

function living(groups: readonly FullGroup[], kicked: ReadonlySet<number>): number {
  let out = 0
  for (const index of kicked) if (groups.some((group) => index >= group.first && index < group.first + group.count)) out++
  return total(groups) - out
}

const total = (groups: readonly FullGroup[]) => groups.reduce((sum, { count }) => sum + count, 0)

/** The groups with so many indices in all: fewer from their end, more at the end of the last. */
export function resized(groups: readonly FullGroup[], count: number): FullGroup[] {
  const kept: FullGroup[] = []
  let left = count
  groups.forEach((group, at) => {
    const has = at === groups.length - 1 ? left : Math.min(left, group.count)
    if (has > 0) kept.push({ ...group, count: has })
    left -= Math.min(left, group.count)
  })
  return kept
}
