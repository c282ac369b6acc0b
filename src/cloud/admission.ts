import { check } from '../model/check.ts'
import { type EnvAsked, EnvSpec, type FullGroup } from '../model/env.ts'
import { fail } from '../model/errors.ts'
import { countVms, type Demand, demandOf } from '../model/expand.ts'
import type { HostRecord } from '../model/records.ts'
import { counted, duration, megabytes } from '../model/units.ts'
import type { UserSpec } from '../model/user.ts'

/** What a cloud allows a single request; settings of the server. */
export interface Limits {
  cpuMax: number
  memMinMb: number
  diskMinMb: number
  /** VMs of one image in one ENV. */
  copiesMax: number
  /** Life time without `longLife`. */
  lifetimeMaxSeconds: number
  /** Between a stop and a start of one ENV; 0 for none. */
  powerIntervalSeconds: number
  /** ENVs that are being made at the same time; more wait for their turn. */
  creationsMax: number
  /** How long a creation may wait for its turn. */
  queueSeconds: number
  /** How long a change of a living ENV may take. */
  changeSeconds: number
}

export const defaultLimits: Limits = {
  cpuMax: 12,
  memMinMb: 100,
  diskMinMb: 100,
  copiesMax: 10_001,
  lifetimeMaxSeconds: 21_600,
  powerIntervalSeconds: 0,
  creationsMax: 256,
  queueSeconds: 600,
  changeSeconds: 600,
}

/** The spec as a caller wrote it, checked field by field; `invalid` names the first field that is wrong and the rule. */
export function checkedSpec(asked: EnvAsked, subject: string): EnvSpec {
  const { value, wrong } = check(EnvSpec, asked)
  return value ?? fail('invalid', wrong ?? 'it is no ENV', { subject })
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
    fail('exhausted', `not enough ${label}: ${unit(total)} in all, ${unit(used[field] - before[field])} ${usedBy(before)}, ${unit(wanted[field])} wanted for ${counted(countVms(spec), 'VM')}`, {
      subject,
      remedy: 'delete an ENV, ask for less, or add a host',
    })
  }
  return wanted
}

function checkFits(group: FullGroup, hosts: HostRecord[], subject: string): void {
  const able = hosts.filter((host) => host.engines.some(({ name }) => name === group.engine))
  if (able.length === 0) fail('unsupported', `no host runs the engine ${group.engine} that ${group.image} needs`, { subject, remedy: 'see `tt status --server`' })
  checkArch(group, able, subject)
  for (const { field, label, unit } of resources) {
    if (field === 'vms') continue
    const most = Math.max(...able.map((host) => host.total[field]))
    if (group[field] > most) fail('exhausted', `one VM of ${group.image} wants ${unit(group[field])} of ${label}, the largest host has ${unit(most)}`, { subject, remedy: 'ask for less' })
  }
}

/** Hosts say by `archs` which processors their engines run guests for, and by `lacks` what is missing for the others. */
function checkArch({ image, engine }: FullGroup, hosts: HostRecord[], subject: string): void {
  const arch = hosts.flatMap((host) => host.images[image]?.arch ?? [])[0]
  const features = hosts.flatMap((host) => host.engines.flatMap((fact) => (fact.name === engine ? [fact.features] : [])))
  const words = (name: string) => features.flatMap((one) => String(one[name] ?? '').split(' '))
  if (arch === undefined || features.some((one) => one['archs'] === undefined) || words('archs').includes(arch)) return
  const missing = words('lacks').find((word) => word.startsWith(`${arch}:`))?.slice(arch.length + 1)
  fail('unsupported', `no host fits, because none runs guests for ${arch}, and ${image} is for that processor`, {
    subject,
    remedy: missing === undefined ? 'see `tt status --server`' : `install ${missing} on a host: apt-get install ${missing}`,
  })
}

const resources = [
  { field: 'cpu', label: 'cpu', unit: (value: number) => counted(value, 'cpu') },
  { field: 'memMb', label: 'memory', unit: megabytes },
  { field: 'diskMb', label: 'disk', unit: megabytes },
  { field: 'vms', label: 'room for VMs', unit: String },
] as const

/** What an ENV has already is not counted as used where it asks for a change. */
const usedBy = (before: Demand) => (resources.some(({ field }) => before[field] > 0) ? 'used by others' : 'used')

/** A life longer than the cloud allows needs `longLife`; no end at all says so itself. */
export function checkLifetime({ lifetimeSeconds, longLife }: EnvSpec, limits: Limits, subject: string): void {
  if (lifetimeSeconds === null || longLife || lifetimeSeconds <= limits.lifetimeMaxSeconds) return
  fail('invalid', `the life time is ${lifetimeSeconds} s, allowed is at most ${limits.lifetimeMaxSeconds} s (${duration(limits.lifetimeMaxSeconds)})`, { subject, remedy: 'who may can lift the limit: --SSSS' })
}

/** Refuses what would go beyond the owner's quota; what is not more than before is always allowed. */
export function checkQuota(wanted: Demand, options: { before: Demand; used: Demand; quota: UserSpec['quota']; owner: string; subject: string }): void {
  const { before, used, quota, owner, subject } = options
  for (const { field, label, unit } of resources) {
    const total = quota[field]
    if (total === undefined || wanted[field] <= before[field]) continue
    const others = used[field] - before[field]
    if (others + wanted[field] > total) {
      fail('exhausted', `not enough ${label} in the quota of ${owner}: ${unit(total)} in all, ${unit(others)} ${usedBy(before)}, ${unit(wanted[field])} wanted`, { subject, remedy: 'delete an ENV, ask for less, or ask an admin for more' })
    }
  }
}

/** Refuses a change that makes an ENV's VMs need more of the host they are on than it has left. */
export function checkHost(name: string, host: HostRecord | undefined, { used, before, after, subject }: { used: Demand; before: Demand; after: Demand; subject: string }): void {
  if (!host) fail('unavailable', `its host ${name} is not online`, { subject, remedy: 'see `tt status --server`' })
  for (const { field, label, unit } of resources) {
    const others = used[field] - before[field]
    if (after[field] <= before[field] || others + after[field] <= host.total[field]) continue
    fail('exhausted', `not enough ${label} on its host ${name}: ${unit(host.total[field])} in all, ${unit(others)} ${usedBy(before)}, ${unit(after[field])} wanted`, { subject, remedy: 'stop or delete another ENV there' })
  }
}
