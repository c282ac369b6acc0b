import type { Log } from '../base/log.ts'
import type { World } from '../base/world.ts'
import type { Store } from './store.ts'

export interface StoreOptions {
  /** Where the store may keep files; it is there, and no other server has it. */
  dir: string
  world: World
  log: Log
}

/** Every store there is. A store is loaded when it is opened, so the others cost nothing. */
export const stores = {
  memory: async ({ world }: StoreOptions): Promise<Store> => (await import('./memory.ts')).memoryStore({ world }),
  sqlite: async ({ dir, world, log }: StoreOptions): Promise<Store> => (await import('./sqlite.ts')).sqliteStore({ dir, world, log }),
} as const
