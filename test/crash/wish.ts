/** What a test wants of a cloud, said by the test alone: by name, the ENVs there are to be. */
export type Wish = ReadonlyMap<string, WishedEnv>

export interface WishedEnv {
  owner: string
  vms: ReadonlyMap<number, WishedVm>
  stopped: boolean
  lifetimeSeconds: number | null
  /** When it was asked for at the earliest, in ms: its life ends no sooner than this says. */
  bornMs: number
  /** One of its VMs cannot be made: it is an explanation that holds nothing. */
  fails?: boolean
  /** At its end it is halted, not deleted. */
  staysAtEnd?: boolean
}

export interface WishedVm {
  cpu: number
  memMb: number
  diskMb: number
  /** Inner ports. */
  ports: readonly number[]
  denyOutgoing: boolean
  /** Addresses and prefixes it may not reach; unknown where a test does not follow it. */
  deny?: readonly string[]
  /** It may have ended by itself. */
  mayEnd?: boolean
  /** How often it was started; absent where a test does not know whether it ever was. */
  starts?: number | 'some times'
}

/** The wish with this ENV in place of the one of its name, or without it. */
export function wishing(wish: Wish, name: string, env: WishedEnv | undefined): Wish {
  const next = new Map(wish)
  if (env) next.set(name, env)
  else next.delete(name)
  return next
}

/** `env` with every VM changed. */
export const eachVm = (env: WishedEnv, change: (vm: WishedVm) => WishedVm): WishedEnv => ({ ...env, vms: new Map([...env.vms].map(([index, vm]) => [index, change(vm)])) })

export interface Sum {
  cpu: number
  memMb: number
  diskMb: number
  vms: number
}

/** What the ENV takes: a stopped one its disks and its places, a failed one nothing. */
export function sumOf({ vms, stopped, fails }: WishedEnv): Sum {
  const sum: Sum = { cpu: 0, memMb: 0, diskMb: 0, vms: 0 }
  if (fails) return sum
  for (const vm of vms.values()) {
    if (!stopped) {
      sum.cpu += vm.cpu
      sum.memMb += vm.memMb
    }
    sum.diskMb += vm.diskMb
    sum.vms++
  }
  return sum
}
