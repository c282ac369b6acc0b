import type { EnvSpec, FullGroup, Group } from '../model/env.ts'
import { fail } from '../model/errors.ts'
import { type Flavor, flavorOf, flavors } from '../model/flavors.ts'
import { archs, fallbackSize, type ImageSpec } from '../model/image.ts'
import { matchesPrefix, shown } from '../model/names.ts'
import { megabytes } from '../model/units.ts'
import type { Limits } from './admission.ts'

export interface ResolveOptions {
  limits: Limits
  /** What looks like an image and is none, with the reason. */
  broken: ReadonlyMap<string, string>
  subject: string
  /** The ENV as it is: an update may change how many VMs of an image there are, add and drop images, and what its VMs are like. */
  before?: Pick<EnvSpec, 'groups' | 'kicked' | 'stopped' | 'exceptions'>
}

/** A group with the one image it is of. */
interface Chosen {
  group: Group
  image: string
}

/**
 * The spec with prefixes made into exact images, sizes filled in (asked, else the flavor's, else the image's, else the fallback) and indices
 * given. Pure: the same images and spec give the same result on every server.
 */
export function resolved(spec: EnvSpec, images: ReadonlyMap<string, ImageSpec>, options: ResolveOptions): EnvSpec {
  const { limits, subject, before } = options
  const olds = (before?.groups ?? []) as FullGroup[]
  const chosen = chosenOf(spec, images, { ...options, olds })
  const taken = new Set<FullGroup>()
  const groups: FullGroup[] = []
  const fresh: FullGroup[] = []
  for (const { group, image } of chosen) {
    const mine = olds.filter((old) => !taken.has(old) && isSame(old, group, image))
    if (mine.length === 0) {
      fresh.push(filled({ group, image }, images.get(image) ?? fail('not_found', `no host has the image ${shown(image)}`, { subject, remedy: 'see `tt image list`' }), options))
      continue
    }
    mine.forEach((old) => taken.add(old))
    const changed = mine.map((old) => changedGroup(old, group, { image: images.get(image), stopped: spec.stopped && (before?.stopped ?? false), subject, limits }))
    groups.push(...counted(changed, group.count, fresh, olds))
  }
  const placed = fresh.filter(({ first }) => first >= 0)
  checkPlaces(placed, olds, subject)
  groups.push(...placed)
  for (const group of fresh) if (group.first < 0) groups.push({ ...group, first: Math.max(nextIndex(olds), nextIndex(groups)) })
  groups.sort((a, b) => a.first - b.first)
  checkCopies(groups, olds, limits, subject)
  checkOverlap(groups, subject)
  return { ...spec, groups, kicked: kickedOf(spec, groups, options), exceptions: exceptionsOf(spec, groups, options) }
}

const nextIndex = (groups: readonly FullGroup[]) => Math.max(0, ...groups.map((group) => group.first + group.count))
const contains = (group: FullGroup, index: number) => index >= group.first && index < group.first + group.count

/** A group as kept is known by where it begins, and may get another name; one that people write is known by its name and image. */
const isSame = (old: FullGroup, group: Group, image: string) => old.image === image && (group.first === undefined ? old.name === group.name : group.first === old.first)

/** Which images, each once: two prefixes that pick one image make it once. */
function chosenOf(spec: EnvSpec, images: ReadonlyMap<string, ImageSpec>, options: ResolveOptions & { olds: FullGroup[] }): Chosen[] {
  const { subject, olds } = options
  const chosen: Chosen[] = []
  const known = new Map<string, Group>()
  for (const group of spec.groups) {
    const kept = olds.some(({ image }) => image === group.image)
    for (const image of kept ? [group.image as string] : namesOf(group, images, options)) {
      const key = `${group.name ?? ''} ${image} ${group.first ?? ''}`
      const twice = known.get(key)
      if (twice && group.image === undefined) continue
      if (twice) fail('invalid', `image ${image} is asked for twice`, { subject, remedy: 'give the groups names, or ask once with the sum of their counts' })
      known.set(key, group)
      chosen.push({ group, image })
    }
  }
  return chosen
}

/** A group of a living ENV: as it is, but for what was asked to change. What its guests' hardware is can only change while they are halted. */
function changedGroup(old: FullGroup, asked: Group, { image, stopped, subject, limits }: { image?: ImageSpec; stopped: boolean; subject: string; limits: Limits }): FullGroup {
  const size = sizeOf(asked, subject)
  const { name: _name, flavor: _flavor, ...rest } = old
  const group: FullGroup = { ...namesIn(asked, subject), ...rest }
  for (const field of ['cpu', 'memMb', 'diskMb'] as const) {
    const wanted = asked[field] ?? (group.flavor === old.flavor ? undefined : size?.[field] || undefined)
    if (wanted === undefined || wanted === old[field]) continue
    if (!stopped) fail('not_ready', `${labels[field]} of ${old.image} cannot change from ${unit(field, old[field])} to ${unit(field, wanted)} while its VMs run`, { subject, remedy: `stop it first: \`tt env stop ${subject.replace(/^env\//, '')}\`` })
    if (field === 'diskMb' && wanted < old.diskMb) fail('invalid', `a disk cannot shrink from ${megabytes(old.diskMb)} to ${megabytes(wanted)}`, { subject, remedy: 'make a new ENV' })
    if (asked[field] !== undefined) checkSize(field, wanted, limits, subject)
    group[field] = wanted
  }
  if (asked.ports !== undefined) group.ports = sortedPorts([...(image?.ports ?? old.ports.filter((port) => port === 22)), ...asked.ports])
  return group
}

/** The groups of one image with so many VMs in all: fewer from their end, more at the end of the last or, where others follow it, in a further group. */
function counted(groups: FullGroup[], count: number, fresh: FullGroup[], all: readonly FullGroup[]): FullGroup[] {
  const kept: FullGroup[] = []
  let left = count
  for (const group of groups) {
    const has = Math.min(left, group.count)
    if (has > 0) kept.push({ ...group, count: has })
    left -= has
  }
  const last = kept.at(-1)
  if (left <= 0 || !last) return kept
  if (last.first + last.count === nextIndex(all)) kept[kept.length - 1] = { ...last, count: last.count + left }
  else fresh.push({ ...last, first: -1, count: left })
  return kept
}

/** Sizes as asked are held to the limits; those of flavors and images are the operator's own. */
function filled({ group, image: name }: Chosen, image: ImageSpec, { limits, subject }: ResolveOptions): FullGroup {
  for (const field of ['cpu', 'memMb', 'diskMb'] as const) if (group[field] !== undefined) checkSize(field, group[field], limits, subject)
  const size = sizeOf(group, subject)
  const own = { ...fallbackSize, cpu: image.cpu ?? fallbackSize.cpu, memMb: image.memMb ?? fallbackSize.memMb, diskMb: image.diskMb ?? fallbackSize.diskMb }
  return {
    ...namesIn(group, subject),
    image: name,
    digest: group.digest ?? image.digest,
    engine: group.engine ?? image.engines[0] ?? fail('invalid', `image ${name} names no engine`),
    first: group.first ?? -1,
    count: group.count,
    cpu: group.cpu ?? size?.cpu ?? own.cpu,
    memMb: group.memMb ?? size?.memMb ?? own.memMb,
    diskMb: group.diskMb ?? (size?.diskMb || own.diskMb),
    ports: sortedPorts([...image.ports, ...(group.ports ?? [])]),
  }
}

/** In the order in which they are kept: a group that did not change is equal to the letter. */
const namesIn = ({ name, flavor }: Group, subject: string) => ({ ...(name === undefined ? {} : { name }), ...(flavor === undefined ? {} : { flavor: knownFlavor(flavor, subject).name }) })
const sortedPorts = (ports: number[]) => [...new Set(ports)].sort((a, b) => a - b)
const sizeOf = (group: Group, subject: string): Flavor | undefined => (group.flavor === undefined ? undefined : knownFlavor(group.flavor, subject))
const knownFlavor = (text: string, subject: string) =>
  flavorOf(text) ?? fail('not_found', `there is no flavor ${shown(text)}`, { subject, remedy: `there are ${flavors.map(({ id, name }) => `${id} ${name}`).join(', ')}` })

function namesOf(group: Group, images: ReadonlyMap<string, ImageSpec>, { broken, subject }: ResolveOptions): string[] {
  if (group.image !== undefined) {
    if (images.has(group.image)) return [group.image]
    const why = broken.get(group.image)
    fail('not_found', why === undefined ? `no host has the image ${shown(group.image)}` : `${group.image} is not a usable image: ${why}`, { subject, remedy: remedyFor(group.image, images) })
  }
  const prefix = group.prefix ?? fail('invalid', 'a group names neither image nor prefix', { subject })
  const names = [...images.keys()].filter((name) => matchesPrefix(name, prefix)).sort()
  if (names.length > 0) return names
  const [bad] = [...broken].filter(([name]) => matchesPrefix(name, prefix))
  if (bad) fail('not_found', `no usable image begins with ${shown(prefix)}: ${bad[0]} is not one, ${bad[1]}`, { subject, remedy: 'see `tt image list`' })
  fail('not_found', `no image begins with ${shown(prefix)}`, { subject, remedy: images.size === 0 ? 'the servers have no images: see `tt image recipes`' : remedyFor(prefix, images) })
}

/** Images that recipes make for other processors are listed only once they are built. */
function remedyFor(name: string, images: ReadonlyMap<string, ImageSpec>): string {
  const recipe = name.slice(0, name.lastIndexOf('-'))
  const arch = archs.find((one) => name === `${recipe}-${one}`)
  return arch !== undefined && images.get(recipe)?.buildable !== undefined ? `if there is a recipe for it, \`tt image build ${recipe} --arch ${arch}\` makes it` : 'see `tt image list`'
}

/** Which numbers VMs have is for the group that has them: they do not become VMs of another. */
function checkPlaces(placed: readonly FullGroup[], olds: readonly FullGroup[], subject: string): void {
  for (const { first, count } of placed) {
    const other = olds.find((old) => first < old.first + old.count && old.first < first + count)
    if (other) fail('invalid', `VMs ${other.first} to ${other.first + other.count - 1} are of another group, of ${other.image}`, { subject, remedy: 'leave out where the group begins' })
  }
}

/** What was chosen before is held to no limit that came later. */
function checkCopies(groups: readonly FullGroup[], olds: readonly FullGroup[], limits: Limits, subject: string): void {
  const [now, before] = [copiesOf(groups), copiesOf(olds)]
  for (const [image, count] of now) {
    if (count > limits.copiesMax && count > (before.get(image) ?? 0)) fail('invalid', `the number of copies is ${count - 1}, allowed is 0 to ${limits.copiesMax - 1}`, { subject })
  }
  const last = nextIndex(groups) - 1
  if (last > highestIndex && last >= nextIndex(olds)) fail('invalid', `the last of its VMs would be number ${last}, allowed is at most ${highestIndex}`, { subject, remedy: 'make a new ENV' })
}

const copiesOf = (groups: readonly FullGroup[]): Map<string, number> => groups.reduce((counts, { image, count }) => counts.set(image, (counts.get(image) ?? 0) + count), new Map<string, number>())

/** Of a VM: what is kept can be read and put back. */
const highestIndex = 1_000_000

function checkSize(field: keyof typeof labels, value: number, limits: Limits, subject: string): void {
  const refuse = (rule: string) => fail('invalid', `${labels[field]} is ${value}, allowed is ${rule}`, { subject })
  if (field === 'cpu' && value > limits.cpuMax) refuse(`1 to ${limits.cpuMax}`)
  if (field === 'memMb' && value < limits.memMinMb) refuse(`at least ${limits.memMinMb} MB`)
  if (field === 'diskMb' && value < limits.diskMinMb) refuse(`at least ${limits.diskMinMb} MB`)
}

const labels = { cpu: 'cpu', memMb: 'memory', diskMb: 'disk' } as const
const unit = (field: keyof typeof labels, value: number) => (field === 'cpu' ? `${value} ${value === 1 ? 'cpu' : 'cpus'}` : megabytes(value))

function checkOverlap(groups: FullGroup[], subject: string): void {
  groups.forEach((group, at) => {
    const before = groups[at - 1]
    if (before && group.first < before.first + before.count) fail('invalid', `indices of ${before.image} and ${group.image} overlap`, { subject })
  })
}

/** What is no VM cannot be taken out: newly asked it is refused; what its group has lost meanwhile is forgotten. */
function kickedOf(spec: EnvSpec, groups: FullGroup[], { before, subject }: ResolveOptions): number[] {
  const indices = [...new Set(spec.kicked)].sort((a, b) => a - b)
  const there = (index: number, among: readonly FullGroup[]) => among.some((group) => contains(group, index))
  const unknown = indices.find((index) => !there(index, groups) && !there(index, (before?.groups ?? []) as FullGroup[]))
  if (unknown !== undefined && !before?.kicked.includes(unknown)) fail('not_found', `it has no VM ${unknown} to take out`, { subject, remedy: 'see `tt env show`' })
  return indices.filter((index) => there(index, groups))
}

function exceptionsOf(spec: EnvSpec, groups: FullGroup[], { before, subject }: ResolveOptions): EnvSpec['exceptions'] {
  const kept: EnvSpec['exceptions'] = {}
  for (const [index, exception] of Object.entries(spec.exceptions)) {
    const group = groups.find((one) => contains(one, Number(index)))
    if (!group && !before?.exceptions[index]) fail('not_found', `it has no VM ${index} to be different`, { subject, remedy: 'see `tt env show`' })
    if (!group || Object.values(exception).every((value) => value === undefined)) continue
    kept[index] = { ...exception, ...(exception.ports ? { ports: sortedPorts([...group.ports.filter((port) => port === 22), ...exception.ports]) } : {}) }
  }
  return kept
}
