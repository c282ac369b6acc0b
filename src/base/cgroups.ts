import { accessSync, constants, existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { layoutOf, recipe, type CgroupLayout, type CgroupLimits } from './cgroup-layout.ts'
import type { Effects } from './effects.ts'
import { hasErrno, isMissing, readTextNow } from './files.ts'
import type { World } from './world.ts'

/** The cgroups of one mark: `tt-MARK/NAME` in every hierarchy of the machine that counts, v1, v2 or both. */
export interface Cgroups {
  /** Whether groups with limits can be made here: really makes one and removes it. */
  usable(): Promise<{ usable: true } | { usable: false; why: string }>
  /** Makes the group with these limits, or changes the limits of one that is there; gives the directories a process has to join. */
  make(name: string, limits: CgroupLimits): string[]
  /** Kills what is left in it and removes it; nothing there is fine. */
  remove(name: string): Promise<void>
  /** Names there are now, read from the machine. */
  list(): string[]
  /** Its directories that exist. */
  dirs(name: string): string[]
  /** How many of its processes the kernel has killed because memory ran out, the group's own or the machine's; of a group that is there. */
  oomKills(name: string): number
}

const patienceMs = 5000

export function cgroups({ mark, world, effects, layout = machineLayout() }: { mark: string; world: World; effects: Effects; layout?: CgroupLayout }): Cgroups {
  const parent = `tt-${mark}`
  const roots = [...layout.v1, ...(layout.v2 ? [layout.v2] : [])].map(({ dir }) => dir)
  const make = (name: string, limits: CgroupLimits): string[] => {
    const { dirs, writes, joins } = recipe(layout, { parent, name, limits })
    return effects.act({ kind: 'cgroup', verb: 'make', subject: `${parent}/${name}` }, () => {
      for (const dir of dirs) mkdirSync(dir, { recursive: true })
      for (const { file, text } of writes) put(file, text)
      return joins
    })
  }
  const present = (name: string) => roots.map((root) => join(root, parent, name)).filter((dir) => existsSync(dir))
  const remove = async (name: string) => {
    const dirs = present(name)
    if (dirs.length === 0) return roots.forEach((root) => vacate(join(root, parent)))
    await effects.act({ kind: 'cgroup', verb: 'remove', subject: `${parent}/${name}` }, async () => {
      const end = world.ticks() + patienceMs
      for (let waitMs = 1; ; waitMs = Math.min(2 * waitMs, 50)) {
        dirs.forEach(killAll)
        if (dirs.map(vacate).every(Boolean)) break
        if (world.ticks() > end) throw new Error(`${dirs.filter((dir) => existsSync(dir)).join(', ')} cannot be emptied`)
        await world.sleep(waitMs)
      }
      for (const root of roots) vacate(join(root, parent))
    })
  }
  return {
    make,
    remove,
    list: () => [...new Set(roots.flatMap((root) => directoriesIn(join(root, parent))))],
    dirs: present,
    oomKills: (name) => Math.max(0, ...present(name).map(oomKillsIn)),
    async usable() {
      const why = whyNot(layout)
      if (why !== undefined) return { usable: false, why }
      try {
        try {
          make('probe', { cpu: 1, memoryBytes: 1 << 26, pids: 16 })
        } finally {
          await remove('probe')
        }
        return { usable: true }
      } catch (fault) {
        return { usable: false, why: `cgroups cannot be made: ${fault instanceof Error ? fault.message : String(fault)}` }
      }
    },
  }
}

/** What this machine has mounted. */
export function machineLayout(): CgroupLayout {
  return layoutOf(readFileSync('/proc/self/mountinfo', 'utf8'), (dir) => readTextNow(join(dir, 'cgroup.controllers')) ?? '')
}

function whyNot({ v1, v2 }: CgroupLayout): string | undefined {
  const all = [...v1, ...(v2 ? [v2] : [])]
  if (all.length === 0) return 'no cgroup file system is mounted'
  const lacking = ['cpu', 'memory', 'pids'].filter((name) => !all.some(({ controllers }) => controllers.includes(name)))
  if (lacking.length > 0) return `no cgroup hierarchy has the controllers ${lacking.join(', ')}`
  for (const { dir } of all) {
    try {
      accessSync(dir, constants.W_OK)
    } catch {
      return `${dir} cannot be written by this user`
    }
  }
  return undefined
}

/** v1 and v2 say it in files of different names, and in the same words. */
function oomKillsIn(dir: string): number {
  const text = readTextNow(join(dir, 'memory.events')) ?? readTextNow(join(dir, 'memory.oom_control')) ?? ''
  return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0)
}

function killAll(dir: string): void {
  // A frozen process does not die before it thaws; v2 has a switch that does both, for the whole group at once.
  if (put(join(dir, 'freezer.state'), 'THAWED', { mayFail: true }) || !put(join(dir, 'cgroup.kill'), '1', { mayFail: true })) {
    for (const pid of (readTextNow(join(dir, 'cgroup.procs')) ?? '').split('\n').filter(Boolean)) kill(Number(pid))
  }
}

function kill(pid: number): void {
  try {
    // 0 stands for a process of another pid namespace: to kill 0 would be to kill ourselves.
    if (pid > 1) process.kill(pid, 'SIGKILL')
  } catch (fault) {
    if (!hasErrno(fault, 'ESRCH')) throw fault
  }
}

/** Whether it is gone now. */
function vacate(dir: string): boolean {
  try {
    rmdirSync(dir)
    return true
  } catch (fault) {
    if (isMissing(fault)) return true
    if (hasErrno(fault, 'EBUSY') || hasErrno(fault, 'ENOTEMPTY')) return false
    throw fault
  }
}

function put(file: string, text: string, { mayFail = false } = {}): boolean {
  try {
    // Never makes the file: one that is not there is a controller that is not there.
    writeFileSync(file, text, { flag: 'r+' })
    return true
  } catch (fault) {
    if (mayFail) return false
    throw new Error(`cannot write ${text} to ${file}: ${fault instanceof Error ? fault.message : String(fault)}`, { cause: fault })
  }
}

function directoriesIn(dir: string): string[] {
  try {
    return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
  } catch (fault) {
    if (isMissing(fault)) return []
    throw fault
  }
}
