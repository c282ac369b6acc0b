import type { Demand } from './expand.ts'

/** An engine that really works on a host. */
export interface EngineFact {
  name: string
  version: string
  /** Features by name; `true` or a word that says more (`accel: "tcg"`). */
  features: Record<string, boolean | string>
}

/** A driver a host tried and cannot use, with the reason. */
export interface UnusableFact {
  kind: 'engine' | 'volume' | 'network' | 'channel' | 'blob'
  name: string
  why: string
}

/** One machine that runs a `ttserver`. Nobody writes its spec yet; draining will be one. */
export type HostSpec = Record<string, never>

export interface HostStatus {
  online: boolean
  /** Where other servers and clients reach it, `host:port`. */
  address: string
  version: string
  started: string
  total: Demand
  used: Demand
  engines: EngineFact[]
  unusable: UnusableFact[]
  network: string
  /** What it can do, by feature. */
  networkFeatures?: Record<string, boolean>
  volume: string
}
