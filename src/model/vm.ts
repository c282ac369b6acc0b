import type { Problem } from './errors.ts'

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
  problem?: Problem
}
