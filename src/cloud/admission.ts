import { check } from '../model/check.ts'
import { type EnvAsked, EnvSpec, type FullGroup, type Group } from '../model/env.ts'
import { fail } from '../model/errors.ts'
import { countVms, type Demand, demandOf } from '../model/expand.ts'
import { fallbackSize, type ImageSpec } from '../model/image.ts'
import { matchesPrefix, shown } from '../model/names.ts'
import type { HostRecord } from '../model/records.ts'
import { megabytes } from '../model/units.ts'

/** What a cloud allows a single request; settings of the server. */
export interface Limits {
  cpuMax: number
  memMinMb: number
  diskMinMb: number
  /** VMs of one image in one ENV. */
  copiesMax: number
}

export const defaultLimits: Limits = { cpuMax: 12, memMinMb: 100, diskMinMb: 100, copiesMax: 10_001 }

/** The spec as a caller wrote it, checked field by field; `invalid` names the first field that is wrong and the rule. */
export function checkedSpec(asked: EnvAsked, subject: string): EnvSpec {
  const { value, wrong } = check(EnvSpec, asked)
  return value ?? fail('invalid', wrong ?? 'it is no ENV', { subject })
}

export interface ResolveOptions {
  limits: Limits
  /** What looks like an image and is none, with the reason. */
  broken: ReadonlyMap<string, string>
  subject: string
  /** The groups of the ENV as it is: an update may change how many VMs of an image there are, add and drop images, not the sizes of living VMs. */
  before?: readonly FullGroup[]
}

/**
 * The spec with prefixes made into exact images, sizes filled in (asked, else the image's, else the fallback) and indices
 * given. Pure: the same images and spec give the same result on every server.
 */
export function resolved(spec: EnvSpec, images: ReadonlyMap<string, ImageSpec>, options: ResolveOptions): EnvSpec {
  const { limits, subject } = options
  const chosen = new Map<string, Group>()
  for (const group of spec.groups) {
    checkGroup(group, limits, subject)
    for (const name of options.before?.some(({ image }) => image === group.image) ? [group.image as string] : namesOf(group, images, options)) {
      if (group.image === undefined && chosen.has(name)) continue // Two prefixes that pick one image make it once.
      if (chosen.has(name)) fail('invalid', `image ${name} is asked for twice`, { subject })
      chosen.set(name, group)
    }
  }
  let first = Math.max(0, ...(options.before ?? []).map((group) => group.first + group.count))
  const groups: FullGroup[] = []
  for (const [name, group] of chosen) {
    const old = options.before?.find(({ image }) => image === name)
    const full = old ? kept(old, group, subject) : filled(group, name, images.get(name) as ImageSpec, group.first ?? first)
    groups.push(full)
    first = Math.max(first, full.first + full.count)
  }
  checkOverlap(groups, subject)
  // What is no VM cannot be taken out: kept, it would be counted as one.
  const kicked = [...new Set(spec.kicked)].filter((index) => groups.some((group) => index >= group.first && index < group.first + group.count))
  return { ...spec, groups, kicked: kicked.sort((a, b) => a - b) }
}

/** A group of a living ENV: as it is, but for its number. */
function kept(old: FullGroup, asked: Group, subject: string): FullGroup {
  for (const field of ['first', 'cpu', 'memMb', 'diskMb'] as const) {
    if (asked[field] !== undefined && asked[field] !== old[field]) fail('unsupported', `${field} of living VMs of ${old.image} cannot be changed from ${old[field]} to ${asked[field]}`, { subject, remedy: 'make a new ENV' })
  }
  if (asked.ports?.some((port) => !old.ports.includes(port))) fail('unsupported', `ports of living VMs of ${old.image} cannot be changed`, { subject, remedy: 'make a new ENV' })
  return { ...old, count: asked.count }
}

function filled(group: Group, name: string, image: ImageSpec, first: number): FullGroup {
  return {
    image: name,
    digest: group.digest ?? image.digest,
    engine: group.engine ?? image.engines[0] ?? fail('invalid', `image ${name} names no engine`),
    first,
    count: group.count,
    cpu: group.cpu ?? image.cpu ?? fallbackSize.cpu,
    memMb: group.memMb ?? image.memMb ?? fallbackSize.memMb,
    diskMb: group.diskMb ?? image.diskMb ?? fallbackSize.diskMb,
    ports: [...new Set([...image.ports, ...(group.ports ?? [])])].sort((a, b) => a - b),
  }
}

function namesOf(group: Group, images: ReadonlyMap<string, ImageSpec>, { broken, subject }: ResolveOptions): string[] {
  if (group.image !== undefined) {
    if (images.has(group.image)) return [group.image]
    const why = broken.get(group.image)
    fail('not_found', why === undefined ? `no host has the image ${shown(group.image)}` : `${group.image} is not a usable image: ${why}`, { subject, remedy: 'see `tt image list`' })
  }
  const prefix = group.prefix ?? fail('invalid', 'a group names neither image nor prefix', { subject })
  const names = [...images.keys()].filter((name) => matchesPrefix(name, prefix)).sort()
  if (names.length > 0) return names
  const [bad] = [...broken].filter(([name]) => matchesPrefix(name, prefix))
  if (bad) fail('not_found', `no usable image begins with ${shown(prefix)}: ${bad[0]} is not one, ${bad[1]}`, { subject, remedy: 'see `tt image list`' })
  fail('not_found', `no image begins with ${shown(prefix)}`, { subject, remedy: images.size === 0 ? 'the servers have no images: see `tt image recipes`' : 'see `tt image list`' })
}

function checkGroup(group: Group, limits: Limits, subject: string): void {
  const refuse = (what: string, value: number, rule: string) => fail('invalid', `${what} is ${value}, allowed is ${rule}`, { subject })
  if (group.cpu !== undefined && group.cpu > limits.cpuMax) refuse('cpu', group.cpu, `1 to ${limits.cpuMax}`)
  if (group.memMb !== undefined && group.memMb < limits.memMinMb) refuse('memory', group.memMb, `at least ${limits.memMinMb} MB`)
  if (group.diskMb !== undefined && group.diskMb < limits.diskMinMb) refuse('disk', group.diskMb, `at least ${limits.diskMinMb} MB`)
  if (group.count > limits.copiesMax) refuse('the number of copies', group.count - 1, `0 to ${limits.copiesMax - 1}`)
}

function checkOverlap(groups: FullGroup[], subject: string): void {
  const sorted = [...groups].sort((a, b) => a.first - b.first)
  sorted.forEach((group, at) => {
    const before = sorted[at - 1]
    if (before && group.first < before.first + before.count) fail('invalid', `indices of ${before.image} and ${group.image} overlap`, { subject })
  })
}

/**
 * Refuses with `exhausted` what the online hosts together, or the largest of them for one VM, cannot hold. The hosts' own
 * ledgers have the last word; this is what lets a caller know at once.
 */
export function admit(spec: EnvSpec, options: { before: Demand; used: Demand; hosts: HostRecord[]; subject: string }): Demand {
  const { hosts, subject, used, before } = options
  const wanted = demandOf(spec)
  if (hosts.length === 0) fail('unavailable', 'no host is online', { subject, remedy: 'start a `ttserver`, or see `tt status --server`' })
  for (const group of spec.groups as FullGroup[]) checkFits(group, hosts, subject)
  for (const { field, label, unit } of resources) {
    const total = hosts.reduce((sum, host) => sum + host.total[field], 0)
    const free = total - used[field] + before[field]
    if (wanted[field] <= free || wanted[field] <= before[field]) continue
    fail('exhausted', `not enough ${label}: ${unit(total)} in all, ${unit(used[field] - before[field])} used, ${unit(wanted[field])} wanted for ${countVms(spec)} VMs`, {
      subject,
      remedy: 'delete an ENV, ask for less, or add a host',
    })
  }
  return wanted
}

function checkFits(group: FullGroup, hosts: HostRecord[], subject: string): void {
  const able = hosts.filter((host) => host.engines.some(({ name }) => name === group.engine))
  if (able.length === 0) fail('unsupported', `no host runs the engine ${group.engine} that ${group.image} needs`, { subject, remedy: 'see `tt status --server`' })
  for (const { field, label, unit } of resources) {
    if (field === 'vms') continue
    const most = Math.max(...able.map((host) => host.total[field]))
    if (group[field] > most) fail('exhausted', `one VM of ${group.image} wants ${unit(group[field])} of ${label}, the largest host has ${unit(most)}`, { subject, remedy: 'ask for less' })
  }
}

const resources = [
  { field: 'cpu', label: 'cpu', unit: (value: number) => `${value} cpus` },
  { field: 'memMb', label: 'memory', unit: megabytes },
  { field: 'diskMb', label: 'disk', unit: megabytes },
  { field: 'vms', label: 'room for VMs', unit: String },
] as const
