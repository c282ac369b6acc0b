import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Cgroups } from '../../../base/cgroups.ts'
import { processesWith } from '../../../base/processes.ts'
import { idIn, guestDir } from './guest-dir.ts'

export interface Leak {
  kind: 'process' | 'cgroup' | 'file' | 'mount'
  subject: string
  why: string
}

/** What carries the mark and belongs to no VM of `owned`, as `/proc`, the cgroup file systems and the directory say it. */
export function leaks(home: { dir: string; mark: string }, cgroups: Cgroups | undefined, owned: ReadonlySet<string>): Leak[] {
  const nobodys = (id: string) => `it belongs to ${id}, which is no VM of this server`
  const processes = processesWith(`tt-${home.mark}-`).flatMap(({ pid, argv }): Leak[] => {
    const id = idIn(argv, home.mark)
    if (id === undefined) return []
    if (!owned.has(id)) return [{ kind: 'process', subject: String(pid), why: nobodys(id) }]
    // Of two that say they are the same VM, one is.
    const known = guestDir(home, id).process()
    return known && known.pid !== pid ? [{ kind: 'process', subject: String(pid), why: `the VM ${id} runs as process ${known.pid}` }] : []
  })
  const groups = (cgroups?.list() ?? []).filter((name) => !owned.has(name)).flatMap((name) => (cgroups?.dirs(name) ?? []).map((dir): Leak => ({ kind: 'cgroup', subject: dir, why: nobodys(name) })))
  const files = readdirSync(home.dir)
    .filter((name) => !owned.has(name))
    .map((name): Leak => ({ kind: 'file', subject: join(home.dir, name), why: nobodys(name) }))
  return [...processes, ...groups, ...files]
}
