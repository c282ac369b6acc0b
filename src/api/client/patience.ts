import type { World } from '../../base/world.ts'
import { asTtError } from '../../model/errors.ts'

/** What servers say by `Retry-After`. */
const pauseMs = 1000

/**
 * Makes an attempt, and again after a pause while it is refused with `limited`: nothing was done then, so it is safe for any call. Gives up, with the
 * refusal, once it would have waited longer than for an answer.
 */
export async function patiently<T>(attempt: () => Promise<T>, { world, limitMs, signal }: { world?: Pick<World, 'after'>; limitMs: number; signal?: AbortSignal }): Promise<T> {
  for (let waitedMs = pauseMs; ; waitedMs += pauseMs) {
    try {
      return await attempt()
    } catch (thrown) {
      if (asTtError(thrown).code !== 'limited' || !world || waitedMs > limitMs || signal?.aborted) throw thrown
      await paused(world, signal)
    }
  }
}

/** Over at once when the signal aborts: the next attempt says so. */
async function paused(world: Pick<World, 'after'>, signal?: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const stop = world.after(pauseMs, resolve)
  signal?.addEventListener('abort', () => resolve(), { once: true })
  await promise
  stop()
}
