import type { World } from '../base/world.ts'
import { asTtError } from '../model/errors.ts'
import type { Store } from './store.ts'

/** What was asked of a store, since its start. */
export interface StoreMeter {
  /** Commits that were done, refused because an expectation did not hold, and failed for any other reason. */
  done: number
  refused: number
  failed: number
  /** From the call to the answer, of all of them. */
  seconds: number
}

/** The same store, counting its commits. */
export function metered(store: Store, world: World): { store: Store; meter: Readonly<StoreMeter> } {
  const meter: StoreMeter = { done: 0, refused: 0, failed: 0, seconds: 0 }
  const commit: Store['commit'] = async (writes, call) => {
    const begun = world.ticks()
    try {
      const revision = await store.commit(writes, call)
      meter.done++
      return revision
    } catch (thrown) {
      if (asTtError(thrown).code === 'conflict') meter.refused++
      else meter.failed++
      throw thrown
    } finally {
      meter.seconds += (world.ticks() - begun) / 1000
    }
  }
  return { store: { ...store, commit }, meter }
}
