import { deadline, type World } from '../../../base/world.ts'
import type { Call } from '../../../model/call.ts'
import { TtError } from '../../../model/errors.ts'

/** The promise's outcome, unless the call is given up or `limitMs` are over before: then `timeout`, saying what was waited for. */
export async function within<T>(promise: Promise<T>, { world, limitMs, what, call }: { world: World; limitMs: number; what: string; call?: Call }): Promise<T> {
  using limit = deadline(world, limitMs, call?.signal, new TtError({ code: 'timeout', message: `${what} took more than ${limitMs} ms` }))
  const { signal } = limit
  const { promise: late, reject } = Promise.withResolvers<never>()
  const giveUp = () => reject(signal.reason)
  if (signal.aborted) giveUp()
  signal.addEventListener('abort', giveUp, { once: true })
  try {
    return await Promise.race([promise, late])
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
}
