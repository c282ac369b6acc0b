import type { EnvSpec } from '../model/env.ts'
import { fail } from '../model/errors.ts'
import { type Demand, type EnvRoot, expand, expandOne, fullGroups, nothing, plus } from '../model/expand.ts'
import { parseVmId, vmId } from '../model/names.ts'
import { type EnvRecord, type GrowthRecord, keys, lastPart } from '../model/records.ts'
import type { VmSpec } from '../model/vm.ts'
import type { Write } from '../store/store.ts'
import { checkHost } from './admission.ts'
import { onlineHosts } from './facts.ts'
import type { Truth } from './truth.ts'

/** What the VMs that a host has claimed ask of it: all of them, or those of one ENV as it is given. */
export function demandOn(truth: Truth, host: string, only?: EnvRoot): Demand {
  let used = nothing
  if (only) {
    for (const vm of expand(only)) if (truth.claims.get(keys.claim(vmId(only.uid, vm.index)))?.host === host) used = plus(used, demandOfVm(vm))
    return used
  }
  for (const { key, value } of truth.claims.entries()) {
    const id = value.host === host ? parseVmId(lastPart(key)) : undefined
    const env = id && truth.envOf(id.envUid)
    const vm = env && expandOne(env, id.index)
    if (vm) used = plus(used, demandOfVm(vm))
  }
  return used
}

/** A halted VM holds its disk only. */
const demandOfVm = (vm: VmSpec): Demand => (vm.stopped ? { ...nothing, diskMb: vm.diskMb, vms: 1 } : { cpu: vm.cpu, memMb: vm.memMb, diskMb: vm.diskMb, vms: 1 })

/** What of an ENV's new wish its VMs may need more of than before. */
export interface Growth {
  /** VMs there are already: what they need must be on their hosts. */
  inPlace: boolean
  /** Anything at all: also further VMs. */
  any: boolean
}

/** Whether a wish asks for more than the one before. What does not is never refused for want of room or of hosts. */
export function growthOf(old: EnvSpec, spec: EnvSpec): Growth {
  const starts = old.stopped && !spec.stopped
  const before = new Map(fullGroups(old).map((group) => [group.first, group]))
  const groups = fullGroups(spec).map((group) => ({ group, was: before.get(group.first) }))
  const inPlace = starts || groups.some(({ group, was }) => was && (group.cpu > was.cpu || group.memMb > was.memMb || group.diskMb > was.diskMb))
  const kicked = new Set(spec.kicked)
  return { inPlace, any: inPlace || groups.some(({ group, was }) => !was || was.image !== group.image || group.count > was.count) || old.kicked.some((index) => !kicked.has(index)) }
}

/**
 * What of an ENV is on a host stays there, so what it needs more must be free there: refuses what is not. Gives the hosts, and what makes sure
 * that they have not taken other VMs meanwhile and see this before they take more.
 */
export function growHosts(truth: Truth, env: EnvRecord, { spec, now }: { spec: EnvSpec; now: string }): { hosts: string[]; writes: Write[] } {
  const subject = `env/${env.name}`
  const hosts = [...truth.tally.of(env.uid).hosts.keys()].filter((host) => {
    const [before, after] = [demandOn(truth, host, env), demandOn(truth, host, { ...env, spec })]
    if (after.cpu <= before.cpu && after.memMb <= before.memMb && after.diskMb <= before.diskMb) return false
    checkHost(host, onlineHosts(truth, host)[0], { used: demandOn(truth, host), before, after, subject })
    return true
  })
  const claimed = hosts.map((host) => ({ key: keys.claiming(host), expect: truth.claimings.entry(keys.claiming(host))?.revision ?? ('absent' as const) }))
  for (const { key, expect } of claimed) if (expect !== 'absent' && expect > truth.claims.revision) fail('conflict', 'its claims are not seen yet', { subject: key })
  return { hosts, writes: [...claimed, ...hosts.map((host) => ({ key: keys.growth(host), value: { since: now } satisfies GrowthRecord }))] }
}
