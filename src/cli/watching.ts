import type { World } from '../base/world.ts'
import type { Change, Cloud, ListOptions } from '../model/cloud.ts'
import { asTtError, fail, type TtError } from '../model/errors.ts'
import type { Kind } from '../model/kinds.ts'

/** A server may be started again while a client waits: it is asked anew for this long before its silence is an error. */
const patienceMs = 60_000
const firstPauseMs = 200
const longestPauseMs = 2000

/**
 * A watch that is begun again when it breaks. `began` stands before the state of each beginning, so a reader knows from when on a name that
 * does not come is gone.
 */
export async function* steadyWatch<K extends Kind>(
  cloud: Cloud,
  kind: K,
  options: ListOptions & { world: World; signal: AbortSignal; onLost: (problem: TtError) => void },
): AsyncGenerator<Change<K> | { type: 'began' }> {
  const { world, signal, onLost, ...which } = options
  let heard = world.ticks()
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    try {
      yield { type: 'began' }
      for await (const change of cloud.collection(kind).watch(which, { signal })) {
        heard = world.ticks()
        pauseMs = firstPauseMs
        yield change
      }
      if (signal.aborted) fail('cancelled', 'interrupted')
    } catch (thrown) {
      const error = asTtError(thrown)
      if ((error.code !== 'unavailable' && error.code !== 'timeout') || signal.aborted || world.ticks() - heard > patienceMs) throw error
      onLost(error)
    }
    await world.sleep(pauseMs, signal)
  }
}
