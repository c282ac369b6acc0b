import type { World } from '../base/world.ts'
import { TtError } from '../model/errors.ts'
import { limitText } from './session-guest.ts'

/**
 * Notices a guest that gets on by nothing. While something is expected of it, each `expect` starts its time anew; while somebody else is waited for (the caller, the reader of the
 * output) it rests.
 */
export interface Patience extends Disposable {
  /** Aborts when the time is up, with a problem of code `timeout`, or with the caller. */
  readonly signal: AbortSignal
  /** From now on something is to happen within the limit, and so much more. */
  expect(moreMs?: number): void
  rest(): void
  /** What the work resolves with, or the reason of the signal: whoever does the work may hang. */
  during<T>(work: (signal: AbortSignal) => Promise<T>, options?: { moreMs?: number }): Promise<T>
}

export function patience({ world, limitMs, signal, what }: { world: World; limitMs: number; signal: AbortSignal; what: () => string }): Patience {
  const controller = new AbortController()
  const overdue = Promise.withResolvers<never>()
  overdue.promise.catch(() => undefined) // Mostly nobody waits for it.
  let due: number | undefined
  let disarm: (() => void) | undefined
  const giveUp = (reason: unknown) => {
    disarm?.()
    controller.abort(reason)
    overdue.reject(reason)
  }
  const cancel = () => giveUp(signal.reason)
  signal.addEventListener('abort', cancel, { once: true })
  if (signal.aborted) cancel()
  // The timer is left as it is while things go on, and looks when it rings: there are far more pieces than rings.
  const look = () => {
    disarm = undefined
    if (due === undefined) return
    const leftMs = due - world.ticks()
    if (leftMs > 0) disarm = world.after(leftMs, look)
    else giveUp(new TtError({ code: 'timeout', message: `the guest has got on by nothing for ${limitText(limitMs)} while ${what()}`, remedy: 'see what it prints: `tt env logs`; with a longer --time-out the same transfer goes on from where it was' }))
  }
  const expect = (moreMs = 0) => {
    due = world.ticks() + limitMs + moreMs
    disarm ??= world.after(limitMs + moreMs, look)
  }
  const rest = () => {
    due = undefined
  }
  return {
    signal: controller.signal,
    expect,
    rest,
    async during(work, { moreMs } = {}) {
      controller.signal.throwIfAborted()
      expect(moreMs)
      try {
        return await Promise.race([work(controller.signal), overdue.promise])
      } finally {
        rest()
      }
    },
    [Symbol.dispose]() {
      signal.removeEventListener('abort', cancel)
      disarm?.()
    },
  }
}

/** A slow emulated guest reads and digests so much in a second: what it has to read without saying a word has that time besides. */
const readPerSecondBytes = 8 << 20

export const readingMs = (sizeBytes: number): number => (sizeBytes / readPerSecondBytes) * 1000
