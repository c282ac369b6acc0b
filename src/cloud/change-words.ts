import type { EnvSpec } from '../model/env.ts'
import { countVms } from '../model/expand.ts'
import { counted, duration } from '../model/units.ts'

/** What is different between two specs of one ENV, in words for people; empty if nothing is. */
export function changeWords(before: EnvSpec, now: EnvSpec): string[] {
  const words: string[] = []
  const [were, are] = [countVms(before), countVms(now)]
  const kicked = now.kicked.filter((index) => !before.kicked.includes(index))
  if (before.stopped !== now.stopped) words.push(now.stopped ? 'its VMs are to halt' : 'its VMs are to start')
  if (kicked.length > 0) words.push(kicked.length === 1 ? `VM ${kicked[0]} was kicked` : `${kicked.length} VMs were kicked`)
  if (are !== were - kicked.length) words.push(`${counted(were - kicked.length, 'VM')} became ${are}`)
  if (before.lifetimeSeconds !== now.lifetimeSeconds) words.push(now.lifetimeSeconds === null ? 'it has no end any more' : `it lives ${duration(now.lifetimeSeconds)} from its creation`)
  if (before.denyOutgoing !== now.denyOutgoing) words.push(now.denyOutgoing ? 'outgoing connections are denied' : 'outgoing connections are allowed')
  const differ = (pick: (spec: EnvSpec) => unknown) => JSON.stringify(pick(before)) !== JSON.stringify(pick(now))
  if (differ(({ groups }) => groups.map(({ ports }) => ports))) words.push('its ports changed')
  if (differ(({ groups }) => groups.map(({ cpu, memMb, diskMb }) => [cpu, memMb, diskMb])) && are === were) words.push('its sizes changed')
  if (differ(({ deny }) => deny)) words.push('its deny list changed')
  if (differ(({ peers }) => peers)) words.push('its peers changed')
  if (differ(({ exceptions }) => exceptions)) words.push('what is different for single VMs changed')
  if (differ(({ atEnd, keepDisks }) => [atEnd, keepDisks])) words.push('what becomes of it at its end changed')
  if (words.length === 0 && differ((spec) => spec)) words.push('it changed')
  return words
}
