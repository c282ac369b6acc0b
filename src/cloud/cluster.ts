import type { Log } from '../base/log.ts'
import type { World } from '../base/world.ts'
import type { Cloud, Collection } from '../model/cloud.ts'
import type { Kind } from '../model/kinds.ts'
import type { Peer } from '../model/session.ts'
import type { Store } from '../store/store.ts'
import { defaultLimits, type Limits } from './admission.ts'
import { envCollection } from './envs.ts'
import { hostCollection, imageCollection } from './facts.ts'
import { fanOut } from './fan-out.ts'
import { auditLedger, runExpiry, runPhases } from './ready.ts'
import { truth } from './truth.ts'
import { vmCollection } from './vms.ts'

export interface ClusterOptions {
  store: Store
  /** How a host's sessions are reached; undefined for one that is not reachable from here. */
  peer: (host: string) => Peer | undefined
  world: World
  log: Log
  version: string
  limits?: Partial<Limits>
}

/** The Cloud whose truth is in a store, together with the loops that decide: phases, expiry. One per server; several on one store agree by compare-and-set. */
export async function cluster(options: ClusterOptions): Promise<Cloud & AsyncDisposable> {
  const { store, world, log, peer, version } = options
  await using building = new AsyncDisposableStack()
  const seen = building.use(await truth(store, { world, log }))
  const parts = { store, truth: seen, world, log, limits: { ...defaultLimits, ...options.limits } }
  await auditLedger(parts)
  building.use(runPhases(parts))
  building.use(runExpiry(parts))
  const collections: { [K in Kind]: Collection<K> } = {
    env: envCollection(parts),
    vm: vmCollection(seen),
    host: hostCollection(seen),
    image: imageCollection(seen),
  }
  const stack = building.move()
  return {
    about: async () => ({ cloud: 'cluster', version, user: 'admin', role: 'admin' }),
    collection: <K extends Kind>(kind: K) => collections[kind] as Collection<K>,
    open: (request, call) => fanOut(seen, peer, request, call),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}
