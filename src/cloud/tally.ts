import { parseVmId } from '../model/names.ts'
import { type ClaimRecord, lastPart, type VmRecord } from '../model/records.ts'
import { follow } from '../store/follow.ts'
import type { View } from '../store/view.ts'

/** How many VMs of an ENV are claimed, answer and failed: kept up to date by changes, so that 10,000 VMs are never counted again. */
export interface Counts {
  claimed: number
  ready: number
  /** Ids of VMs that could not be made. */
  failed: ReadonlySet<string>
}

export interface Tally extends Disposable {
  of(envUid: string): Counts
}

export function tally(claims: View<ClaimRecord>, vms: View<VmRecord>): Tally {
  const counts = new Map<string, { claimed: number; ready: number; failed: Set<string> }>()
  const at = (key: string, change: (entry: { claimed: number; ready: number; failed: Set<string> }, id: string) => void) => {
    const id = lastPart(key)
    const uid = parseVmId(id)?.envUid
    if (uid === undefined) return
    const entry = counts.get(uid) ?? { claimed: 0, ready: 0, failed: new Set<string>() }
    counts.set(uid, entry)
    change(entry, id)
    if (entry.claimed === 0 && entry.ready === 0 && entry.failed.size === 0) counts.delete(uid)
  }
  const stopClaims = follow(claims, (key, now, before) => {
    const step = (now ? 1 : 0) - (before ? 1 : 0)
    if (step !== 0) at(key, (entry) => (entry.claimed += step))
  })
  const stopVms = follow(vms, (key, now, before) => {
    const was = before?.state
    const is = now?.state
    if (was === is) return
    at(key, (entry, id) => {
      if (was === 'ready') entry.ready--
      if (is === 'ready') entry.ready++
      if (was === 'failed') entry.failed.delete(id)
      if (is === 'failed') entry.failed.add(id)
    })
  })
  return {
    of: (envUid) => counts.get(envUid) ?? none,
    [Symbol.dispose]() {
      stopClaims()
      stopVms()
    },
  }
}

const none: Counts = { claimed: 0, ready: 0, failed: new Set() }
