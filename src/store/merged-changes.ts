/** Changes on their way to one reader: of each key only the newest, so they never take more than what they speak of. */
export interface MergedChanges<C extends { readonly key: string }> extends AsyncIterable<C> {
  push(change: C): void
  /** The reader gets what is there, then the end. */
  end(): void
}

/** Ends at once when `signal` aborts. `onEnd` is called when no more is to be pushed. */
export function mergedChanges<C extends { readonly key: string }>(onEnd: () => void, signal?: AbortSignal): MergedChanges<C> {
  const pending = new Map<string, C>()
  let ended = false
  let wake = () => {}
  const end = () => {
    ended = true
    signal?.removeEventListener('abort', drop)
    onEnd()
    wake()
  }
  const drop = () => {
    pending.clear()
    end()
  }
  signal?.addEventListener('abort', drop, { once: true })
  return {
    push(change) {
      if (ended) return
      pending.set(change.key, change)
      wake()
    },
    end,
    async *[Symbol.asyncIterator]() {
      try {
        for (;;) {
          for (const [key, change] of pending) {
            pending.delete(key)
            yield change
          }
          if (ended) return
          await new Promise<void>((resolve) => (wake = resolve))
        }
      } finally {
        end()
      }
    },
  }
}
