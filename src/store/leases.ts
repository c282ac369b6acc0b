import { background } from '../base/background.ts'
import { randomHex, type World } from '../base/world.ts'
import { errorOf, fail } from '../model/errors.ts'
import type { Lease, Store } from './store.ts'

/** What a store must do by itself; leases are put around it. Calls take effect in their order. */
export interface Backend extends Omit<Store, 'lease'> {
  /** Deletes every key that was written under the lease and not since without it, as one commit. None is fine. */
  endLease(id: string): Promise<void>
}

interface Held {
  readonly id: string
  readonly termMs: number
  deadline: number
  stopBeat: () => void
  readonly controller: AbortController
}

const retryMs = 1000

/**
 * The store over a backend in the same process. A lease is renewed three times per term by a timer of this very process, so it is lost
 * only when the process did not run for a term: it was stopped, or kept busy. Then its keys go, whatever the holder believes.
 */
export function withLeases(backend: Backend, world: World): Store {
  const alive = new Map<string, Held>()
  const removals = background(() => undefined)

  /** Asks at once, so in the order of the calls. What cannot be removed now, as when the disk is full, is tried until it can. */
  const remove = (id: string, waitMs = 0) =>
    removals.run(id, async (signal) => {
      if (waitMs > 0) await world.sleep(waitMs, signal)
      await backend.endLease(id).catch(() => remove(id, retryMs))
    })

  const lose = (held: Held, why: string) => {
    alive.delete(held.id)
    held.stopBeat()
    held.controller.abort(errorOf({ code: 'unavailable', message: why, subject: `lease/${held.id}` }))
  }

  const lapsed = (held: Held): boolean => {
    if (world.ticks() < held.deadline) return false
    lose(held, `this process did not run for the ${held.termMs / 1000} s of its lease`)
    remove(held.id)
    return true
  }

  const beat = (held: Held) => {
    if (lapsed(held)) return
    held.deadline = world.ticks() + held.termMs
    held.stopBeat = world.after(held.termMs / 3, () => beat(held))
  }

  return {
    ...backend,
    async commit(writes, call) {
      for (const { lease } of writes) {
        if (lease === undefined) continue
        const held = alive.get(lease)
        if (!held || lapsed(held)) return fail('not_found', 'the lease has ended', { subject: `lease/${lease}` })
      }
      return backend.commit(writes, call)
    },
    async lease(seconds, call): Promise<Lease> {
      call?.signal?.throwIfAborted()
      if (removals.signal.aborted) return fail('unavailable', 'the store is closed')
      if (!(seconds >= 0.1 && seconds <= 86_400)) return fail('invalid', `a lease is 0.1 to 86400 seconds, not ${seconds}`)
      const held: Held = { id: randomHex(world, 8), termMs: seconds * 1000, deadline: Infinity, stopBeat: () => undefined, controller: new AbortController() }
      alive.set(held.id, held)
      beat(held)
      return {
        id: held.id,
        lost: held.controller.signal,
        async [Symbol.asyncDispose]() {
          if (!alive.delete(held.id)) return
          held.stopBeat()
          try {
            await backend.endLease(held.id)
          } catch (fault) {
            remove(held.id, retryMs)
            throw fault
          }
        },
      }
    },
    async [Symbol.asyncDispose]() {
      for (const held of alive.values()) lose(held, 'the store was closed')
      await removals[Symbol.asyncDispose]()
      await backend[Symbol.asyncDispose]()
    },
  }
}
