import type { EnvSpec } from '../model/env.ts'
import { fail } from '../model/errors.ts'
import { fullGroups } from '../model/expand.ts'
import { type EnvRecord, type GrowthRecord, keys } from '../model/records.ts'
import type { Write } from '../store/store.ts'
import { checkHost } from './admission.ts'
import { forEnvs, onlineHosts } from './facts.ts'
import { demandOn } from './host-demand.ts'
import type { Truth } from './truth.ts'

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
    checkHost(host, onlineHosts(truth, host).map(forEnvs)[0], { used: demandOn(truth, host), before, after, subject })
    return true
  })
  const claimed = hosts.map((host) => ({ key: keys.claiming(host), expect: truth.claimings.entry(keys.claiming(host))?.revision ?? ('absent' as const) }))
  for (const { key, expect } of claimed) if (expect !== 'absent' && expect > truth.claims.revision) fail('conflict', 'its claims are not seen yet', { subject: key })
  return { hosts, writes: [...claimed, ...hosts.map((host) => ({ key: keys.growth(host), value: { since: now } satisfies GrowthRecord }))] }
}
