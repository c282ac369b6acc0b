import { Loop } from '../base/loop.ts'
import type { World } from '../base/world.ts'
import { parseVmId } from '../model/names.ts'
import { type EnvRecord, keys, lastPart } from '../model/records.ts'
import { follow } from '../store/follow.ts'
import type { Report } from './report.ts'
import type { HostViews } from './views.ts'

/** Tells the cloud up to which revision of each ENV all its VMs of this host have been made as wanted. */
export interface Applied extends AsyncDisposable {
  /** The VM is looked at now. */
  look(id: string): Look
}

export interface Look {
  /** Of its ENV, at this moment. */
  revision: number
  /** Called once the VM is as it was wanted then. */
  done(): void
}

export function runApplied({ name, views, report, world }: { name: string; views: HostViews; report: Report; world: World }): Applied {
  /** What has not been looked at since the ENV's last change. */
  const pending = new Map<string, { revision: number; ids: Set<string> }>()
  const held = new Map<string, Set<string>>()
  const uidOf = (id: string) => parseVmId(id)?.envUid ?? ''
  const revisionOf = (uid: string) => views.envs.entry(keys.env(views.envOf(uid)?.name ?? ''))?.revision ?? 0
  const loop = new Loop(
    async (uid) => {
      const key = keys.applied(uid, name)
      const told = views.applieds.get(key)
      if (!held.has(uid)) {
        if (told) await views.reached(await report.write({ key, value: null }))
        return
      }
      const now = pending.get(uid)
      if (now && now.ids.size === 0 && told?.revision !== now.revision) await views.reached(await report.write({ key, value: { revision: now.revision } }))
    },
    { name: 'applied', world, width: Infinity, backoffMs: { first: 50, last: 5000 } },
  )
  const stops = [
    follow(views.claims, (key, now, before) => {
      const id = lastPart(key)
      const uid = uidOf(id)
      if (now?.host === name && before?.host !== name) {
        held.set(uid, (held.get(uid) ?? new Set()).add(id))
        const known = pending.get(uid)
        if (known) known.ids.add(id)
        else pending.set(uid, { revision: revisionOf(uid), ids: new Set([id]) })
      } else if (before?.host === name && now?.host !== name) {
        pending.get(uid)?.ids.delete(id)
        const left = held.get(uid)
        left?.delete(id)
        if (left?.size === 0) {
          held.delete(uid)
          pending.delete(uid)
        }
        loop.touch(uid)
      }
    }),
    follow(views.envs, (key, now: EnvRecord | undefined) => {
      const revision = views.envs.entry(key)?.revision
      if (now && revision !== undefined && held.has(now.uid)) pending.set(now.uid, { revision, ids: new Set(held.get(now.uid)) })
    }),
  ]
  for (const { key } of views.applieds.entries()) if (lastPart(key) === name) loop.touch(key.split('/')[2] ?? '')
  return {
    look(id) {
      const uid = uidOf(id)
      const revision = revisionOf(uid)
      return {
        revision,
        done() {
          const now = pending.get(uid)
          if (now && revision >= now.revision && now.ids.delete(id) && now.ids.size === 0) loop.touch(uid)
        },
      }
    },
    async [Symbol.asyncDispose]() {
      stops.forEach((stop) => stop())
      await loop[Symbol.asyncDispose]()
    },
  }
}
