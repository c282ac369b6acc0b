import { type Sum, sumOf, type Wish, type WishedEnv, type WishedVm } from '../crash/wish.ts'

/** The day as its users see it, kept by the test alone: it shares no code with what it judges. */
export interface DayEnv {
  name: string
  owner: string
  createdMs: number
  lifetimeSeconds: number | null
  atEnd: 'delete' | 'stop'
  stopped: boolean
  /** Since when. */
  stoppedMs?: number
  /** Its time was over and it was halted for that. */
  halted: boolean
  denyOutgoing: boolean
  deny: string[]
  ranges: Range[]
  kicked: Set<number>
  exceptions: Map<number, { denyOutgoing?: boolean; ports?: number[] }>
  /** `failing`: a VM of it cannot be made; `leaving`: its removal was asked for. */
  state: 'live' | 'failing' | 'leaving'
  /** When it was seen to have failed. */
  failedMs?: number
}

/** VMs of one image and size with indices in a row. */
export interface Range {
  image: string
  first: number
  count: number
  cpu: number
  memMb: number
  diskMb: number
  ports: number[]
}

export interface Image {
  cpu: number
  memMb: number
  diskMb: number
  ports: number[]
  options: Record<string, unknown>
}

/** What there is to run. `bad` never starts, `once` ends by itself, `slow` takes its time. */
export const images: Record<string, Image> = {
  'fake:micro': { cpu: 1, memMb: 128, diskMb: 1024, ports: [], options: {} },
  web: { cpu: 2, memMb: 512, diskMb: 2048, ports: [80, 443], options: { startMs: [0, 300] } },
  slow: { cpu: 1, memMb: 256, diskMb: 1024, ports: [], options: { startMs: [500, 15_000], stopMs: [0, 4000] } },
  once: { cpu: 1, memMb: 128, diskMb: 1024, ports: [9000], options: { exitAfterMs: [60_000, 600_000] } },
  bad: { cpu: 1, memMb: 128, diskMb: 1024, ports: [], options: { failStart: ['*'] } },
}

export const total: Sum = { cpu: 150, memMb: 40_000, diskMb: 260_000, vms: 160 }

/** One may have no more than the quota, one may give ENVs any life. */
export const users = [
  { name: 'ann', rights: [], quota: {} },
  { name: 'bob', rights: [], quota: { cpu: 40, vms: 30 } },
  { name: 'cid', rights: ['longLife'], quota: {} },
] as const

export const lifeLimitSeconds = 21_600

export const endOf = ({ createdMs, lifetimeSeconds }: DayEnv): number => (lifetimeSeconds === null ? Infinity : createdMs + lifetimeSeconds * 1000)

export function* indices({ ranges, kicked }: Pick<DayEnv, 'ranges' | 'kicked'>): Generator<{ index: number; range: Range }> {
  for (const range of ranges) for (let index = range.first; index < range.first + range.count; index++) if (!kicked.has(index)) yield { index, range }
}

/** What it asks for while nothing of it is gone. */
export function demand(env: Pick<DayEnv, 'ranges' | 'kicked' | 'stopped'>): Sum {
  return sumOf({ owner: '', stopped: env.stopped, lifetimeSeconds: null, bornMs: 0, vms: new Map([...indices(env)].map(({ index, range }) => [index, { ...range, denyOutgoing: false }])) })
}

export const add = (one: Sum, other: Sum): Sum => ({ cpu: one.cpu + other.cpu, memMb: one.memMb + other.memMb, diskMb: one.diskMb + other.diskMb, vms: one.vms + other.vms })
export const zero: Sum = { cpu: 0, memMb: 0, diskMb: 0, vms: 0 }

/** The first index no VM of these ranges has had. */
const nextIndex = (ranges: readonly Range[]): number => Math.max(0, ...ranges.map(({ first, count }) => first + count))

/** The ENV with one range of another length: fewer VMs go from its end; more come there, or behind all others if another range follows. */
export function scaled(ranges: readonly Range[], at: number, count: number): Range[] {
  const range = ranges[at] as Range
  const next = nextIndex(ranges)
  if (count <= range.count || range.first + range.count === next) return ranges.with(at, { ...range, count })
  return [...ranges, { ...range, first: next, count: count - range.count }]
}

/** The day as the audit wants it. */
export function wishOf(envs: Iterable<DayEnv>): Wish {
  const wish = new Map<string, WishedEnv>()
  for (const env of envs) {
    if (env.state === 'leaving') continue
    const vms = [...indices(env)].map(({ index, range }): [number, WishedVm] => {
      const { ports = range.ports, denyOutgoing = env.denyOutgoing } = env.exceptions.get(index) ?? {}
      return [index, { ...range, ports, denyOutgoing, deny: env.deny, ...(range.image === 'once' ? { mayEnd: true } : {}) }]
    })
    wish.set(env.name, {
      owner: env.owner,
      vms: new Map(vms),
      stopped: env.stopped,
      lifetimeSeconds: env.lifetimeSeconds,
      bornMs: env.createdMs,
      ...(env.state === 'failing' ? { fails: true } : {}),
      ...(env.atEnd === 'stop' ? { staysAtEnd: true } : {}),
    })
  }
  return wish
}
