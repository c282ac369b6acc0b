import type { Log } from '../base/log.ts'
import type { World } from '../base/world.ts'
import type { Store } from '../store/store.ts'
import type { Limits } from './admission.ts'
import type { Ledger } from './ledger.ts'
import type { Truth } from './truth.ts'

/** What the collections and loops of a cluster are made of. */
export interface EnvParts {
  store: Store
  truth: Truth
  ledger: Ledger
  world: World
  log: Log
  limits: Limits
}
