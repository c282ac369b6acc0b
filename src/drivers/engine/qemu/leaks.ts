import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Cgroups } from '../../../base/cgroups.ts'
import { removeAll } from '../../../base/files.ts'
import { ended, processesWith, signalProcess } from '../../../base/processes.ts'
import type { DriverHome } from '../engine.ts'
import { idIn, guestDir } from './guest-dir.ts'

export interface Leak {
  kind: 'process' | 'cgroup' | 'file' | 'mount'
  subject: string
  why: string
}

/** What carries the mark and belongs to no VM of `owned`, as `/proc`, the cgroup file systems and the directory say it. */
export const leaks = (home: DriverHome, cgroups: Cgroups | undefined, owned: ReadonlySet<string>): Leak[] => strangers(home, cgroups, owned).map(({ leak }) => leak)

/** Takes away what `leaks` names, processes first. What resists is named again by the next search. */
export async function clean(home: DriverHome, cgroups: Cgroups | undefined, owned: ReadonlySet<string>): Promise<void> {
  for (const { leak, remove } of strangers(home, cgroups, owned)) await remove().catch((fault: unknown) => home.log.warn('a leak could not be taken away', { ...leak, fault: String(fault) }))
}

const dyingMs = 5000

function strangers(home: DriverHome, cgroups: Cgroups | undefined, owned: ReadonlySet<string>): { leak: Leak; remove: () => Promise<void> }[] {
  const nobodys = (id: string) => `it belongs to ${id}, which is no VM of this server`
  const processes = processesWith(`tt-${home.mark}-`).flatMap((found) => {
    const id = idIn(found.argv, home.mark)
    if (id === undefined) return []
    const remove = async () => {
      signalProcess(found, 'SIGKILL', home.effects)
      await ended(found, dyingMs, home)
    }
    const leak = (why: string) => [{ leak: { kind: 'process' as const, subject: String(found.pid), why }, remove }]
    if (!owned.has(id)) return leak(nobodys(id))
    // Of two that say they are the same VM, one is.
    const known = guestDir(home, id).process()
    return known && known.pid !== found.pid ? leak(`the VM ${id} runs as process ${known.pid}`) : []
  })
  const groups = (cgroups?.list() ?? [])
    .filter((name) => !owned.has(name))
    .flatMap((name) => (cgroups?.dirs(name) ?? []).map((dir) => ({ leak: { kind: 'cgroup' as const, subject: dir, why: nobodys(name) }, remove: async () => cgroups?.remove(name) })))
  const files = readdirSync(home.dir)
    .filter((name) => !owned.has(name))
    .map((name) => {
      const path = join(home.dir, name)
      return { leak: { kind: 'file' as const, subject: path, why: nobodys(name) }, remove: async () => home.effects.act({ kind: 'file', verb: 'remove', subject: path }, () => removeAll(path)) }
    })
  return [...processes, ...groups, ...files]
}
