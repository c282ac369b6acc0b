import { Loop } from '../base/loop.ts'
import type { World } from '../base/world.ts'
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

/** What this host holds of an ENV. */
interface Held {
  /** Of the ENV's last change. */
  revision: number
  /** By id, the revision each VM was last made as wanted in. */
  made: Map<string, number>
  /** How many of them have not been made so since the last change. */
  left: number
}

export function runApplied({ name, views, report, world }: { name: string; views: HostViews; report: Report; world: World }): Applied {
  const held = new Map<string, Held>()
  const uidOf = (id: string) => id.slice(0, id.lastIndexOf('.')) // Asked for each look at each VM, so nothing is parsed.
  const revisionOf = (uid: string) => views.envs.entry(keys.env(views.envOf(uid)?.name ?? ''))?.revision ?? 0
  const loop = new Loop(
    async (uid) => {
      const key = keys.applied(uid, name)
      const told = views.applieds.get(key)
      const of = held.get(uid)
      if (!of) {
        if (told) await views.reached(await report.write({ key, value: null }))
        return
      }
      const { left, revision } = of
      if (left === 0 && told?.revision !== revision) await views.reached(await report.write({ key, value: { revision } }))
    },
    { name: 'applied', world, width: Infinity, backoffMs: { first: 50, last: 5000 } },
  )
  const take = (id: string) => {
    const uid = uidOf(id)
    const of = held.get(uid) ?? { revision: revisionOf(uid), made: new Map<string, number>(), left: 0 }
    held.set(uid, of)
    of.made.set(id, -1)
    of.left++
  }
  const lose = (id: string) => {
    const uid = uidOf(id)
    const of = held.get(uid)
    if (!of) return
    if ((of.made.get(id) ?? of.revision) < of.revision) of.left--
    of.made.delete(id)
    if (of.made.size === 0) held.delete(uid)
    if (of.made.size === 0 || of.left === 0) loop.touch(uid)
  }
  const stops = [
    follow(views.claims, (key, now, before) => {
      const [has, had] = [now?.host === name, before?.host === name]
      if (has && !had) take(lastPart(key))
      if (had && !has) lose(lastPart(key))
    }),
    follow(views.envs, (key, now: EnvRecord | undefined) => {
      const of = now && held.get(now.uid)
      if (!of) return
      of.revision = views.envs.entry(key)?.revision ?? of.revision
      of.left = of.made.size
    }),
  ]
  for (const { key } of views.applieds.entries()) if (lastPart(key) === name) loop.touch(key.split('/')[2] ?? '')
  return {
    look(id) {
      const uid = uidOf(id)
      const revision = held.get(uid)?.revision ?? 0
      return {
        revision,
        done() {
          const of = held.get(uid)
          const before = of?.made.get(id)
          if (!of || before === undefined || before >= revision) return
          of.made.set(id, revision)
          if (revision === of.revision && --of.left === 0) loop.touch(uid)
        },
      }
    },
    async [Symbol.asyncDispose]() {
      stops.forEach((stop) => stop())
      await loop[Symbol.asyncDispose]()
    },
  }
}
