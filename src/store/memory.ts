import type { World } from '../base/world.ts'
import { fail } from '../model/errors.ts'
import { contents } from './contents.ts'
import { type Backend, withLeases } from './leases.ts'
import type { Store } from './store.ts'
import { seal } from './writes.ts'

/** A store that ends with its process: for tests, simulation and servers that are to forget. */
export function memoryStore({ world }: { world: World }): Store {
  const held = contents(0)
  let closed = false
  const enter = (signal?: AbortSignal) => {
    signal?.throwIfAborted()
    if (closed) fail('unavailable', 'the store is closed')
  }
  const backend: Backend = {
    async get(key, call) {
      enter(call?.signal)
      return held.get(key)
    },
    async list(prefix, call) {
      enter(call?.signal)
      return held.list(prefix)
    },
    async commit(writes, call) {
      enter(call?.signal)
      const sealed = seal(writes)
      held.check(sealed)
      return held.apply(sealed)
    },
    watch: held.watch,
    async endLease(id) {
      enter()
      held.endLease(id)
    },
    async [Symbol.asyncDispose]() {
      closed = true
      held.close()
    },
  }
  return withLeases(backend, world)
}
