import type { Log } from '../base/log.ts'
import type { World } from '../base/world.ts'
import type { Call } from '../model/call.ts'
import type { Cloud, Collection } from '../model/cloud.ts'
import { TtError } from '../model/errors.ts'
import type { Kind } from '../model/kinds.ts'
import type { Peer } from '../model/session.ts'
import type { Store } from '../store/store.ts'
import { type Access, access } from './access.ts'
import { defaultLimits, type Limits } from './admission.ts'
import { envCollection } from './envs.ts'
import { hostCollection, imageCollection } from './facts.ts'
import { runImageRemoval, withRemoval } from './image-removal.ts'
import { ledger } from './ledger.ts'
import { auditLedger } from './ledger-audit.ts'
import { runPhases } from './ready.ts'
import { runExpiry } from './expiry.ts'
import { cloudSessions } from './sessions.ts'
import { runTasks } from './task-loop.ts'
import { taskCollection } from './tasks.ts'
import { tokenCollection } from './tokens.ts'
import { truth } from './truth.ts'
import { userCollection } from './users.ts'
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

export interface Cluster extends Cloud, AsyncDisposable {
  /** Who has which secret, by its accounts and tokens. */
  access: Access
}

/** The Cloud whose truth is in a store, together with the loops that decide: phases, expiry. One per server; several on one store agree by compare-and-set. */
export async function cluster(options: ClusterOptions): Promise<Cluster> {
  const { store, world, log, peer, version } = options
  await using building = new AsyncDisposableStack()
  const seen = building.use(await truth(store, { world, log }))
  const parts = {
    store,
    truth: seen,
    ledger: ledger({ store, truth: seen, world }),
    world,
    log,
    /** Looked up each time: they may change in life. */
    get limits() {
      return { ...defaultLimits, ...options.limits }
    },
  }
  await auditLedger(parts)
  building.use(runPhases(parts))
  building.use(runExpiry(parts))
  building.use(runTasks(parts))
  building.use(runImageRemoval(parts))
  const collections: { [K in Kind]: Collection<K> } = {
    env: envCollection(parts),
    vm: vmCollection(seen),
    host: hostCollection(seen),
    image: withRemoval(imageCollection(seen), parts),
    task: taskCollection(parts),
    user: userCollection(parts),
    token: tokenCollection(parts),
  }
  const sessions = building.use(cloudSessions(parts, peer))
  const callers = building.use(access({ users: seen.users, tokens: seen.tokens, world }))
  const stack = building.move()
  return {
    access: callers,
    async about(call) {
      heed(call)
      return { cloud: 'cluster', version, user: 'admin', role: 'admin' }
    },
    collection: <K extends Kind>(kind: K) => heeding(collections[kind] as Collection<K>),
    async open(request, call) {
      heed(call)
      return sessions.open(request, call)
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

/** Refuses a call that was given up before it began. */
function heed(call?: Call): void {
  if (!call?.signal?.aborted) return
  const { reason } = call.signal
  throw reason instanceof TtError ? reason : new TtError({ code: 'cancelled', message: 'the call was cancelled' }, reason)
}

/** The same collection, heeding each call. */
function heeding<K extends Kind>(inner: Collection<K>): Collection<K> {
  return {
    async get(name, call) {
      heed(call)
      return inner.get(name, call)
    },
    async list(options, call) {
      heed(call)
      return inner.list(options, call)
    },
    async put(name, options, call) {
      heed(call)
      return inner.put(name, options, call)
    },
    async remove(name, options, call) {
      heed(call)
      return inner.remove(name, options, call)
    },
    watch: (options, call) => inner.watch(options, call),
  }
}
