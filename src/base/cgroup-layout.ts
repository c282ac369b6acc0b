import { join } from 'node:path'

/** The cgroup hierarchies of a machine: v1 has one for each controller or few together, v2 one for all; a hybrid machine has both. */
export interface CgroupLayout {
  v1: CgroupRoot[]
  v2?: CgroupRoot
}

export interface CgroupRoot {
  dir: string
  /** Those of its controllers that can be used there. */
  controllers: string[]
}

/** What a group may use; what is not given is not limited. */
export interface CgroupLimits {
  /** Processors' worth of time, the most it gets. */
  cpu?: number
  /** What it weighs, in processes, beside others of the same parent where there is too little for all; as one unless said otherwise. */
  weight?: number
  memoryBytes?: number
  /** Processes and threads. */
  pids?: number
}

/** What to do to have a group: directories to make, then files to write, in order; `joins` are the directories its processes join. */
export interface CgroupRecipe {
  dirs: string[]
  writes: { file: string; text: string }[]
  joins: string[]
}

const ours = ['cpu', 'memory', 'pids', 'freezer'] as const
const isOurs = (name: string): boolean => (ours as readonly string[]).includes(name)
const periodMicroseconds = 100_000
/** What all groups of a parent weigh together, in processes: as one, which is what the kernel takes them for, any other process would get as much as all VMs. */
const parentWeight = 8

/** Reads `/proc/self/mountinfo` (proc_pid_mountinfo(5)). `available` gives the text of `cgroup.controllers` in a v2 directory. */
export function layoutOf(mountinfo: string, available: (dir: string) => string): CgroupLayout {
  const layout: CgroupLayout = { v1: [] }
  const taken = new Set<string>()
  for (const line of mountinfo.split('\n')) {
    const [before = '', after = ''] = line.split(' - ')
    const dir = unescaped(before.split(' ')[4] ?? '')
    const [type, , options = ''] = after.split(' ')
    if (type === 'cgroup2' && !layout.v2) layout.v2 = { dir, controllers: available(dir).split(/\s+/).filter(Boolean) }
    if (type !== 'cgroup') continue
    // A hierarchy may be mounted at several places: the first is enough.
    const controllers = options.split(',').filter((name) => isOurs(name) && !taken.has(name))
    if (controllers.length > 0) layout.v1.push({ dir, controllers })
    for (const name of controllers) taken.add(name)
  }
  // Where v1 has all there is, a v2 beside it would only make each start slower: joining it costs an RCU grace period.
  if (layout.v1.length > 0 && !layout.v2?.controllers.some((name) => isOurs(name) && !taken.has(name))) delete layout.v2
  return layout
}

export function recipe(layout: CgroupLayout, group: { parent: string; name: string; limits: CgroupLimits }): CgroupRecipe {
  const { parent, name, limits } = group
  const joins = [...layout.v1, ...(layout.v2 ? [layout.v2] : [])].map(({ dir }) => join(dir, parent, name))
  const v1 = layout.v1.flatMap(({ dir, controllers }) => v1Writes({ above: join(dir, parent), name }, controllers, limits))
  if (!layout.v2) return { dirs: joins, joins, writes: v1 }
  const { dir } = layout.v2
  const controllers = layout.v2.controllers.filter(isOurs)
  // A controller counts in a group only if each group above gives it on.
  const given = [dir, join(dir, parent)].flatMap((above) => controllers.map((controller) => ({ file: join(above, 'cgroup.subtree_control'), text: `+${controller}` })))
  return { dirs: joins, joins, writes: [...v1, ...given, ...v2Writes({ above: join(dir, parent), name }, controllers, limits)] }
}

function v1Writes({ above, name }: { above: string; name: string }, controllers: string[], { cpu, weight, memoryBytes, pids }: CgroupLimits) {
  const writes: { file: string; text: string }[] = []
  const write = (file: string, value: number) => writes.push({ file: join(above, name, file), text: String(value) })
  if (controllers.includes('cpu') && cpu !== undefined) {
    writes.push({ file: join(above, 'cpu.shares'), text: String(parentWeight * 1024) })
    write('cpu.cfs_period_us', periodMicroseconds)
    write('cpu.cfs_quota_us', Math.round(cpu * periodMicroseconds))
  }
  if (controllers.includes('cpu') && weight !== undefined) write('cpu.shares', Math.min(Math.round(weight * 1024), 262_144))
  if (controllers.includes('memory') && memoryBytes !== undefined) write('memory.limit_in_bytes', memoryBytes)
  if (controllers.includes('pids') && pids !== undefined) write('pids.max', pids)
  return writes
}

function v2Writes({ above, name }: { above: string; name: string }, controllers: string[], { cpu, weight, memoryBytes, pids }: CgroupLimits) {
  const writes: { file: string; text: string }[] = []
  const write = (file: string, text: string) => writes.push({ file: join(above, name, file), text })
  if (controllers.includes('cpu') && cpu !== undefined) {
    writes.push({ file: join(above, 'cpu.weight'), text: String(parentWeight * 100) })
    write('cpu.max', `${Math.round(cpu * periodMicroseconds)} ${periodMicroseconds}`)
  }
  if (controllers.includes('cpu') && weight !== undefined) write('cpu.weight', String(Math.min(Math.max(1, Math.round(weight * 100)), 10_000)))
  if (controllers.includes('memory') && memoryBytes !== undefined) write('memory.max', String(memoryBytes))
  if (controllers.includes('pids') && pids !== undefined) write('pids.max', String(pids))
  return writes
}

/** Blanks, tabs, line ends and backslashes stand as octal numbers. */
const unescaped = (path: string) => path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
