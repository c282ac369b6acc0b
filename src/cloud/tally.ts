import { type ClaimRecord, lastPart, type VmRecord } from '../model/records.ts'
import type { VmState } from '../model/vm.ts'
import { follow } from '../store/follow.ts'
import type { View } from '../store/view.ts'

/** How many VMs of an ENV are claimed, answer and failed: kept up to date by changes, so that 10,000 VMs are never counted again. */
export interface Counts {
  claimed: number
  /** How many of them each host has. */
  hosts: ReadonlyMap<string, number>
  ready: number
  /** Of these, whose guests have answered and are silent now. */
  lost: number
  /** VMs whose host has begun with them, or was done with them before. */
  recorded: number
  /** On their way: being made or booting. */
  moving: number
  /** Ids of VMs that could not be made. */
  failed: ReadonlySet<string>
  /** VMs that could not be made as wanted yet, by id, with the revision of the ENV that they could not follow. */
  stuck: ReadonlyMap<string, number>
}

export interface Tally extends Disposable {
  of(envUid: string): Counts
}

export function tally(claims: View<ClaimRecord>, vms: View<VmRecord>): Tally {
  const counts = new Map<string, Entry>()
  const at = (key: string, change: (entry: Entry, id: string) => void) => {
    const id = lastPart(key)
    const uid = id.slice(0, id.lastIndexOf('.'))
    const entry = counts.get(uid) ?? { claimed: 0, hosts: new Map<string, number>(), ready: 0, lost: 0, recorded: 0, moving: 0, failed: new Set<string>(), stuck: new Map<string, number>() }
    counts.set(uid, entry)
    change(entry, id)
    if (entry.claimed === 0 && entry.recorded === 0) counts.delete(uid)
  }
  const stopClaims = follow(claims, (key, now, before) => {
    if (now?.host === before?.host) return
    at(key, (entry) => {
      entry.claimed += (now ? 1 : 0) - (before ? 1 : 0)
      if (before) count(entry.hosts, before.host, -1)
      if (now) count(entry.hosts, now.host, 1)
    })
  })
  const stopVms = follow(vms, (key, now, before) => {
    const was = before?.state
    const is = now?.state
    const lost = (isLost(now) ? 1 : 0) - (isLost(before) ? 1 : 0)
    if (was === is && now?.stuck === before?.stuck && lost === 0) return
    at(key, (entry, id) => {
      if (now?.stuck === undefined) entry.stuck.delete(id)
      else entry.stuck.set(id, now.stuck)
      entry.lost += lost
      if (was === is) return
      entry.recorded += (now ? 1 : 0) - (before ? 1 : 0)
      if (was === 'ready') entry.ready--
      if (is === 'ready') entry.ready++
      entry.moving += (isMoving(is) ? 1 : 0) - (isMoving(was) ? 1 : 0)
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

interface Entry extends Counts {
  hosts: Map<string, number>
  failed: Set<string>
  stuck: Map<string, number>
}

const isLost = (record: VmRecord | undefined) => record?.state === 'ready' && record.guest?.state === 'lost'
const isMoving = (state: VmState | undefined) => state === 'starting' || state === 'booting'

function count(hosts: Map<string, number>, host: string, step: number): void {
  const left = (hosts.get(host) ?? 0) + step
  if (left > 0) hosts.set(host, left)
  else hosts.delete(host)
}

const none: Counts = { claimed: 0, hosts: new Map(), ready: 0, lost: 0, recorded: 0, moving: 0, failed: new Set(), stuck: new Map() }
