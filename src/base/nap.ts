import type { World } from './world.ts'

/** A wait that somebody else may cut short, one at a time. */
export interface Nap {
  /** Resolves after `ms`, when it is woken or when the signal aborts, whichever is first; never rejects. */
  take(ms: number, signal?: AbortSignal): Promise<void>
  /** Ends the wait there is; without one it does nothing, and nothing is kept for the next. */
  wake(): void
}

export function nap(world: World): Nap {
  let wake: (() => void) | undefined
  return {
    take: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve()
        const end = () => {
          stop()
          signal?.removeEventListener('abort', end)
          if (wake === end) wake = undefined
          resolve()
        }
        const stop = world.after(ms, end)
        signal?.addEventListener('abort', end, { once: true })
        wake = end
      }),
    wake: () => wake?.(),
  }
}
