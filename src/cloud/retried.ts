import type { World } from '../base/world.ts'
import type { Call } from '../model/call.ts'
import { asTtError, fail } from '../model/errors.ts'

const retryLimitMs = 20_000

/** Repeats what lost a race of compare-and-set; what the caller itself expected is checked anew each time. Waits by chance: of many at once some get through. */
export async function retried(world: World, attempt: () => Promise<void>, call?: Call): Promise<void> {
  const end = world.ticks() + retryLimitMs
  for (let tries = 1; ; tries++) {
    try {
      return await attempt()
    } catch (thrown) {
      const error = asTtError(thrown)
      const lostRace = error.code === 'conflict' && /^(desired|actual)\//.test(error.subject ?? '')
      if (!lostRace) throw thrown
      if (world.ticks() > end) fail('conflict', 'too many changes at once', { remedy: 'try again in a moment', cause: thrown })
      await world.sleep(((world.random(1)[0] ?? 0) / 256) * Math.min(tries, 50), call?.signal)
    }
  }
}
