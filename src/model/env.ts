import * as v from 'valibot'
import type { Problem } from './errors.ts'

const whole = (from: number, to: number, unit: string) =>
  v.pipe(
    v.number(`a number of ${unit}`),
    v.integer(`a whole number of ${unit}`),
    v.minValue(from, `at least ${from} ${unit}`),
    v.maxValue(to, `at most ${to} ${unit}`),
  )

/** Inner ports of a VM; the same number is offered for TCP and UDP. */
const Ports = v.pipe(v.array(whole(1, 65_535, '(a port)')), v.maxLength(256, 'at most 256 ports'))

/**
 * VMs of one image and size. As asked: `prefix` picks any number of images, and what is missing is filled in.
 * As kept: `image` is exact, `first` numbers its VMs `first … first + count - 1`, and every size is there.
 */
export const Group = v.strictObject({
  image: v.optional(v.pipe(v.string(), v.nonEmpty('an image name'), v.maxLength(255))),
  prefix: v.optional(v.pipe(v.string(), v.nonEmpty('a prefix that is not empty'), v.maxLength(255))),
  digest: v.optional(v.pipe(v.string(), v.maxLength(128))),
  engine: v.optional(v.pipe(v.string(), v.maxLength(32))),
  first: v.optional(whole(0, 1_000_000, '(an index)')),
  count: v.optional(whole(1, 1_000_000, 'VMs'), 1),
  cpu: v.optional(whole(1, 65_536, 'cpus')),
  memMb: v.optional(whole(1, 1_073_741_824, 'MB of memory')),
  diskMb: v.optional(whole(0, 1_073_741_824, 'MB of disk')),
  ports: v.optional(Ports),
})
export type Group = v.InferOutput<typeof Group>

/** What is asked of an ENV: its VMs, how long they live, and what they may reach. */
export const EnvSpec = v.strictObject({
  groups: v.pipe(v.array(Group), v.minLength(1, 'at least one image'), v.maxLength(1000, 'at most 1,000 groups')),
  /** Seconds from its creation to its end, or null for no end. */
  lifetimeSeconds: v.optional(v.nullable(whole(30, 3_153_600_000, 's')), 3600),
  /** Guests may not open connections to the outside; answers to inbound ones pass. */
  denyOutgoing: v.optional(v.boolean(), false),
  /** All VMs must answer within this time or the ENV has failed. */
  deadlineSeconds: v.optional(whole(1, 86_400, 's'), 600),
  /** Halted: disks, addresses and ports stay, processes do not. */
  stopped: v.optional(v.boolean(), false),
  /** Indices that were taken out, ascending. */
  kicked: v.optional(v.array(whole(0, 1_000_000, '(an index)')), []),
  /** Only this host may run it. */
  host: v.optional(v.pipe(v.string(), v.maxLength(63))),
})
export type EnvSpec = v.InferOutput<typeof EnvSpec>
/** The spec as a caller writes it, defaults left out. */
export type EnvAsked = v.InferInput<typeof EnvSpec>

/** A group as kept: nothing is left to fill in. */
export interface FullGroup {
  image: string
  digest: string
  engine: string
  first: number
  count: number
  cpu: number
  memMb: number
  diskMb: number
  ports: number[]
}

export type EnvPhase = 'creating' | 'ready' | 'failed' | 'removing'

/** What is. `expires` is absent without an end. */
export interface EnvStatus {
  phase: EnvPhase
  vms: number
  ready: number
  expires?: string
  /** When the phase began. */
  since: string
  /** Why it failed, or what is wrong with which VM now; at most 20, `more` counts the rest. */
  problems?: { vm?: string; problem: Problem }[]
  more?: number
}
