import * as v from 'valibot'
import type { Problem } from './errors.ts'
import { isPrefix } from './prefixes.ts'

const whole = (from: number, to: number, unit: string) =>
  v.pipe(
    v.number(`a number of ${unit}`),
    v.integer(`a whole number of ${unit}`),
    v.minValue(from, `at least ${from} ${from === 1 ? unit.replace(/\Bs$/, '') : unit}`),
    v.maxValue(to, `at most ${to} ${unit}`),
  )

/** Inner ports of a VM; the same number is offered for TCP and UDP. */
const Ports = v.pipe(v.array(whole(1, 65_535, '(a port)')), v.maxLength(256, 'at most 256 ports'))

/** Where guests may not go: addresses and prefixes. */
const Deny = v.pipe(v.array(v.pipe(v.string(), v.check(isPrefix, 'an IPv4 address or prefix, as 10.0.0.0/8'))), v.maxLength(1000, 'at most 1,000 addresses'))
/** One line of `authorized_keys`: options are not for us to give away. */
const SshKey = v.pipe(v.string(), v.maxLength(16_384), v.regex(/^(ssh-(rsa|ed25519|dss)|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com) [A-Za-z0-9+/]+={0,2}( [\x20-\x7e]*)?$/, 'a public key as in authorized_keys: ssh-ed25519 AAAA…'))
const plainName = v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/, '1 to 63 letters, digits, "-" and "_"'))

/**
 * VMs of one image and size. As asked: `prefix` picks any number of images, and what is missing is filled in.
 * As kept: `image` is exact, `first` numbers its VMs `first … first + count - 1`, and every size is there.
 */
export const Group = v.strictObject({
  /** Tells groups of one image apart; without it an image is in one group only. */
  name: v.optional(plainName),
  image: v.optional(v.pipe(v.string(), v.nonEmpty('an image name'), v.maxLength(255))),
  prefix: v.optional(v.pipe(v.string(), v.nonEmpty('a prefix that is not empty'), v.maxLength(255))),
  digest: v.optional(v.pipe(v.string(), v.maxLength(128))),
  engine: v.optional(v.pipe(v.string(), v.maxLength(32))),
  first: v.optional(whole(0, 1_000_000, '(an index)')),
  count: v.optional(whole(1, 1_000_000, 'VMs'), 1),
  /** A size by its name or number, such as `m1.small` or `2`; sizes given beside it count more. */
  flavor: v.optional(v.pipe(v.union([v.string(), v.number()], 'the name or number of a flavor'), v.transform(String), v.nonEmpty('the name or number of a flavor'), v.maxLength(63))),
  cpu: v.optional(whole(1, 65_536, 'cpus')),
  memMb: v.optional(whole(1, 1_073_741_824, 'MB of memory')),
  diskMb: v.optional(whole(0, 1_073_741_824, 'MB of disk')),
  ports: v.optional(Ports),
})
export type Group = v.InferOutput<typeof Group>

/** What is different for one VM. */
export const Exception = v.strictObject({
  denyOutgoing: v.optional(v.boolean()),
  /** Instead of the ENV's. */
  deny: v.optional(Deny),
  /** Instead of the group's. */
  ports: v.optional(Ports),
})
export type Exception = v.InferOutput<typeof Exception>

/** What is asked of an ENV: its VMs, how long they live, and what they may reach. */
export const EnvSpec = v.strictObject({
  groups: v.pipe(v.array(Group), v.minLength(1, 'at least one image'), v.maxLength(1000, 'at most 1,000 groups')),
  /** Seconds from its creation to its end, or null for no end. */
  lifetimeSeconds: v.optional(v.nullable(whole(30, 3_153_600_000, 's')), 3600),
  /** Lifts the cloud's limit of life times; only for those who may. */
  longLife: v.optional(v.boolean(), false),
  /** What happens at its end: it is deleted, or halted and kept until somebody extends or deletes it. */
  atEnd: v.optional(v.picklist(['delete', 'stop'], 'delete or stop'), 'delete'),
  /** Disks of VMs that are taken away stay, as images of the ENV's owner. */
  keepDisks: v.optional(v.boolean(), false),
  /** Guests may not open connections to the outside; answers to inbound ones pass. */
  denyOutgoing: v.optional(v.boolean(), false),
  /** Guests may not open connections to these. */
  deny: v.optional(Deny, []),
  /** ENVs it may talk with. Both must name each other, unless they have the same owner. */
  peers: v.optional(v.pipe(v.array(plainName), v.maxLength(100, 'at most 100 ENVs')), []),
  /** Public keys that may enter its guests as root by ssh. */
  sshKeys: v.optional(v.pipe(v.array(SshKey), v.maxLength(100, 'at most 100 keys')), []),
  /** Given to cloud-init of its guests at their first boot: `#cloud-config`, a script, …. */
  userData: v.optional(v.pipe(v.string(), v.maxLength(65_536, 'at most 64 KB of user data'))),
  /** By index, what is different for single VMs. */
  exceptions: v.optional(v.record(v.pipe(v.string(), v.regex(/^(0|[1-9]\d{0,6})$/, 'an index')), Exception), {}),
  /** All VMs must answer within this time or the ENV has failed. */
  deadlineSeconds: v.optional(whole(1, 86_400, 's'), 600),
  /** Halted: disks, addresses and ports stay, processes do not. */
  stopped: v.optional(v.boolean(), false),
  /** VMs that have ended by themselves are started again when it grows. */
  starts: v.optional(whole(0, 1_000_000_000, 'starts'), 0),
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
  name?: string
  flavor?: string
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
  /** Of these, guests that have answered and are silent now. */
  lost?: number
  expires?: string
  /** When the phase began. */
  since: string
  /** Its last task. */
  task?: string
  /** Why it failed, or what is wrong with which VM now; at most 20, `more` counts the rest. */
  problems?: { vm?: string; problem: Problem }[]
  more?: number
}
