import type { Problem } from './errors.ts'
import type { Way } from './image.ts'

/**
 * - `pending`: no host has claimed it; `starting`: a host is making it; `booting`: it runs, its agent has not answered yet;
 * - `ready`: it answers, or runs and has no agent; `stopped`: it ended by itself or was stopped; `failed`: it could not be made;
 * - `lost`: its host is silent; `removing`: it is being destroyed.
 */
export type VmState = 'pending' | 'starting' | 'booting' | 'ready' | 'stopped' | 'failed' | 'lost' | 'removing'

/** One VM of an ENV, derived from the ENV's record and never stored. */
export interface VmSpec {
  /** The same on every host and in every driver. */
  id: string
  env: string
  index: number
  image: string
  digest: string
  engine: string
  cpu: number
  memMb: number
  diskMb: number
  ports: number[]
  denyOutgoing: boolean
  deny: string[]
  stopped: boolean
  /** How often it was asked for again after it had ended by itself. */
  starts: number
  /** Lines of `authorized_keys` that may enter as root. */
  sshKeys: string[]
  /** For cloud-init in the guest. */
  userData?: string
  host?: string
}

export interface VmStatus {
  state: VmState
  host?: string
  /** Where its public ports are reached. */
  address?: string
  ip?: string
  mac?: string
  /** Public port for each inner port. */
  ports: Record<number, number>
  /** Process id of the engine, where it has one. */
  pid?: number
  since?: string
  /** What is known of what answers in it; absent where nothing runs. */
  guest?: GuestStatus
  problem?: Problem
}

/**
 * - `booting`: it has not answered since it was started; `ready`: it answers; `lost`: it did, and is silent now; `none`: nothing in it could.
 */
export interface GuestStatus {
  state: 'booting' | 'ready' | 'lost' | 'none'
  /** The way it answers by. */
  way?: Way
  /** Load average of its last minute, of all its processors together; memory it uses in MB. As of the last time that either changed much. */
  load?: number
  memUsedMb?: number
}
