import type { EnvPhase, EnvSpec } from './env.ts'
import type { Problem } from './errors.ts'
import type { Demand } from './expand.ts'
import type { EngineFact, UnusableFact } from './host.ts'
import type { ImageSpec, Way } from './image.ts'
import type { TaskState, TaskVerb } from './task.ts'
import type { TokenSpec, UserSpec } from './user.ts'
import type { GuestStatus, VmState } from './vm.ts'

/**
 * What lies in the store, key by key. `cloud/` writes `desired/…`; `host/` writes `claim/…`, `actual/…` and `presence/…`. No field has two
 * writers, so nothing is merged and nothing is locked.
 */
export const keys = {
  version: 'meta/version',
  env: (name: string) => `desired/env/${name}`,
  envs: 'desired/env/',
  phase: (name: string) => `desired/phase/${name}`,
  phases: 'desired/phase/',
  ledger: 'desired/ledger',
  user: (name: string) => `desired/user/${name}`,
  users: 'desired/user/',
  token: (name: string) => `desired/token/${name}`,
  tokens: 'desired/token/',
  unwanted: (image: string) => `desired/unwanted/${image}`,
  unwanteds: 'desired/unwanted/',
  growth: (host: string) => `desired/growth/${host}`,
  growths: 'desired/growth/',
  task: (id: string) => `desired/task/${id}`,
  tasks: 'desired/task/',
  claim: (vmId: string) => `claim/vm/${vmId}`,
  claims: 'claim/vm/',
  vm: (vmId: string) => `actual/vm/${vmId}`,
  vms: 'actual/vm/',
  applied: (envUid: string, host: string) => `actual/applied/${envUid}/${host}`,
  applieds: 'actual/applied/',
  claiming: (host: string) => `actual/claiming/${host}`,
  claimings: 'actual/claiming/',
  host: (name: string) => `actual/host/${name}`,
  hosts: 'actual/host/',
  presence: (name: string) => `presence/host/${name}`,
  presences: 'presence/host/',
} as const

/** The last part of a key. */
export const lastPart = (key: string): string => key.slice(key.lastIndexOf('/') + 1)

/** `desired/env/NAME`: an ENV as asked, whole. Its key's revision is the resource's. */
export interface EnvRecord {
  name: string
  uid: string
  owner: string
  created: string
  removing?: string
  /** The disks of its VMs are to stay although it is removed. */
  keepDisks?: boolean
  /** When it was last stopped or started. */
  powered?: string
  /** When `atEnd: stop` halted it. */
  expired?: string
  /** Its last task. */
  task?: string
  spec: EnvSpec
}

/** `desired/phase/NAME`: how far it is. Written by one loop only. */
export interface PhaseRecord {
  uid: string
  phase: Exclude<EnvPhase, 'removing'>
  since: string
  problems?: { vm?: string; problem: Problem }[]
  more?: number
  /** A failed ENV whose hosts have destroyed everything: its demand is off the ledger. */
  released?: boolean
  /** It waits for its turn: no host may begin with it yet. */
  held?: boolean
}

/** `desired/user/NAME`: an account. */
export interface UserRecord {
  name: string
  uid: string
  created: string
  spec: UserSpec
}

/** `desired/token/USER/NAME`. */
export interface TokenRecord {
  name: string
  uid: string
  user: string
  /** Of the account it was made for: a later user of the name has nothing of it. Absent for the server's own admin. */
  userUid?: string
  created: string
  spec: TokenSpec
}

/** `desired/unwanted/IMAGE`: an image made of a kept disk that its hosts are to delete. */
export interface UnwantedRecord {
  image: string
  since: string
}

/**
 * `desired/growth/HOST`: when VMs that are on this host were last wanted larger, or started. Its host claims no VM without having seen it, and
 * `actual/claiming/HOST`, when it last claimed some, is seen by whoever writes this: so the two together never want more than the host has.
 */
export interface GrowthRecord {
  since: string
}

/** `actual/claiming/HOST`: when it last claimed VMs. */
export interface ClaimingRecord {
  since: string
}

/** `desired/task/ID`: a change that takes time. */
export interface TaskRecord {
  id: string
  verb: TaskVerb
  env: string
  envUid: string
  owner: string
  created: string
  state: TaskState
  limitSeconds: number
  started?: string
  ended?: string
  /** VMs that were as wanted at its end, and all. */
  done?: number
  total?: number
  problem?: Problem
}

/** `actual/applied/ENVUID/HOST`: up to which revision of the ENV's record this host has made all its VMs of it be as wanted. */
export interface AppliedRecord {
  revision: number
}

/** `desired/ledger`: the sum of what all ENVs ask for. Every admission compares and sets it, so two at once cannot over-book. */
export type LedgerRecord = Demand

/** `claim/vm/ID`: this host runs this VM. The key's revision is the claim's epoch. */
export interface ClaimRecord {
  host: string
  env: string
}

/** `actual/vm/ID`: a VM as its host sees it. Written before the host makes anything for it. */
export interface VmRecord {
  host: string
  env: string
  index: number
  state: VmState
  since: string
  ip: string
  mac: string
  slice: string
  ports: Record<number, number>
  pid?: number
  problem?: Problem
  /** The revision of the ENV that it could not be made to follow; it is tried again. */
  stuck?: number
  /** The machine's boot it was last started in: after a reboot of the host it is started again. */
  boot?: string
  /** The `starts` it was last started for. */
  starts?: number
  /** What its disk was made from. */
  image?: string
  /** Ways into it, of the image it was made from: that may be gone or another by now. */
  ways?: Way[]
  guest?: GuestStatus
  /** It was stopped because its ENV was, not by itself. */
  halted?: boolean
  /** Its guest has run: what is on its disk may be wanted. */
  ran?: boolean
  /** The image that its disk is being made, now that it goes. */
  keptAs?: string
}

/** `actual/host/NAME`: what a host is and has. */
export interface HostRecord {
  address: string
  version: string
  started: string
  total: Demand
  engines: EngineFact[]
  unusable: UnusableFact[]
  images: Record<string, ImageSpec>
  /** Things in the image path that are no images, with the reason. */
  broken: Record<string, string>
  network: string
  /** What the network driver can do, by feature. */
  networkFeatures?: Record<string, boolean>
  /** Its VMs have addresses of their own. */
  addresses: boolean
  volume: string
}

/** `presence/host/NAME`, under the host's lease: it lives. */
export interface PresenceRecord {
  since: string
}
