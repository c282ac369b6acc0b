import { check } from '../model/check.ts'
import { type EnvAsked, EnvSpec, type FullGroup, type Group } from '../model/env.ts'
import { fail } from '../model/errors.ts'
import { flavorOf } from '../model/flavors.ts'
import type { Resource } from '../model/kinds.ts'
import { matchesPrefix, shown } from '../model/names.ts'
import { contents, type Difference, differences } from './env-difference.ts'
import { type Declared, usualSpec } from './env-file.ts'
import { asOne, countFor, familiesOf, type Family, resized } from './families.ts'

/** What is to become of an ENV, and how that differs from what is. */
export interface Plan {
  name: string
  action: 'create' | 'change' | 'none'
  differences: Difference[]
  asked: EnvAsked
  /** The revision it was compared with. */
  revision?: string
}

/**
 * What makes an ENV be as it is described. What the description does not say stays as it is, and is as usual for a new ENV; a group it does
 * not name goes. Counts are of VMs that live: what was taken out stays out, unless the description says who is.
 */
export function planOf(declared: Declared, there: Resource<'env'> | undefined, images: readonly Resource<'image'>[]): Plan {
  const { name, place } = declared
  const usual = usualSpec()
  if (!there) {
    if (declared.spec.groups === undefined) fail('invalid', `${place}: there is no ENV ${name}, and no groups are described to make it of`)
    const spec: EnvSpec = { ...usual, ...declared.spec, groups: chosenOf(declared, [], images) }
    return { name, action: 'create', differences: contents(checked(spec, place), usual), asked: spec }
  }
  const { groups, shown: predicted } = declared.spec.groups === undefined ? { groups: there.spec.groups, shown: there.spec.groups } : groupsOf(declared, there.spec, images)
  const spec: EnvSpec = { ...there.spec, ...declared.spec, groups }
  const found = differences(there.spec, checked({ ...spec, groups: predicted }, place))
  return { name, action: found.length > 0 ? 'change' : 'none', differences: found, asked: spec, revision: there.revision }
}

/** Whole, with what is only a default filled in; sizes that are the server's to fill in stay open. */
function checked(spec: EnvSpec, place: string): EnvSpec {
  const { value, wrong } = check(EnvSpec, spec)
  return value ?? fail('invalid', `${place}: ${wrong}`)
}

/** The described groups, each with the one image it is of; a prefix is one for every image it picks. */
function chosenOf({ spec: { groups = [] }, place }: Declared, olds: readonly Family[], images: readonly Resource<'image'>[]): Group[] {
  const known = new Set([...images.map((image) => image.name), ...olds.map((family) => family.groups[0].image)])
  const chosen = new Map<string, Group>()
  for (const { prefix, ...group } of groups) {
    const picked = prefix === undefined ? [group.image ?? ''] : [...known].filter((image) => matchesPrefix(image, prefix)).sort()
    if (picked.length === 0) fail('not_found', `${place}: no image begins with ${shown(prefix ?? '')}`, { remedy: 'see `tt image list`' })
    for (const image of picked) {
      const key = `${group.name ?? ''} ${image} ${group.first ?? ''}`
      if (!chosen.has(key)) chosen.set(key, { ...group, image })
      else if (prefix === undefined) fail('invalid', `${place}: image ${image} is asked for twice`, { remedy: 'give the groups names, or ask once with the sum of their counts' })
    }
  }
  return [...chosen.values()]
}

interface Grouped {
  /** To ask for. */
  groups: Group[]
  /** As they will be, as far as it can be known here. */
  shown: Group[]
}

function groupsOf(declared: Declared, before: EnvSpec, images: readonly Resource<'image'>[]): Grouped {
  const olds = familiesOf(before)
  const exact = declared.spec.kicked !== undefined
  const all: Grouped = { groups: [], shown: [] }
  for (const group of chosenOf(declared, olds, images)) {
    const family = olds.find(({ groups: [first] }) => first.image === group.image && first.name === group.name)
    const mine = family && group.first !== undefined ? onlyFrom(family, group.first) : family
    if (!mine) {
      all.groups.push(group)
      all.shown.push(group)
      continue
    }
    const change = hardwareOf(group, mine.groups[0], images.find(({ name }) => name === group.image)?.spec.ports ?? [])
    const changed = mine.groups.map((old): FullGroup => ({ ...old, ...change }))
    const count = exact || group.first !== undefined ? group.count : mine.living === group.count ? total(changed) : countFor(mine, group.count, new Set(before.kicked))
    const predicted = resized(changed, count)
    all.shown.push(...predicted)
    // More of them may have to stand elsewhere, which is the server's to find.
    if (count > total(changed)) all.groups.push({ ...asOne({ ...mine, groups: changed as unknown as Family['groups'] }), count, ...(group.first === undefined ? {} : { first: group.first }) })
    else all.groups.push(...predicted)
  }
  return all
}

function onlyFrom(family: Family, first: number): Family | undefined {
  const one = family.groups.find((group) => group.first === first)
  return one && { ...family, groups: [one] }
}

/** What the description says of the hardware and ports of VMs that are there; a flavor counts for what is not said beside it. */
function hardwareOf({ cpu, memMb, diskMb, flavor, ports }: Group, old: FullGroup, always: readonly number[]): Partial<FullGroup> {
  const size = flavor === undefined ? undefined : flavorOf(flavor)
  const named = size?.name ?? flavor
  const other = named !== old.flavor ? size : undefined
  return {
    cpu: cpu ?? other?.cpu ?? old.cpu,
    memMb: memMb ?? other?.memMb ?? old.memMb,
    diskMb: diskMb ?? (other?.diskMb || old.diskMb),
    ...(named === undefined ? {} : { flavor: named }),
    ...(ports === undefined ? {} : { ports: [...new Set([...(always.length > 0 ? always : old.ports.filter((port) => port === 22)), ...ports])].sort((one, another) => one - another) }),
  }
}

const total = (groups: readonly FullGroup[]) => groups.reduce((sum, { count }) => sum + count, 0)
