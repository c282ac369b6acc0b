/** Something that several wait for until it comes or is refused; each leaves when its own call ends. Who waits after that waits for the next. */
export interface Arrival<T> {
  /** Whether anybody waits. */
  readonly awaited: boolean
  wait(signal?: AbortSignal): Promise<T>
  /** It is here: all who wait get it, in the order they came. */
  give(value: T): void
  /** All who wait are refused. */
  refuse(why: unknown): void
}

/** `reasonOf` makes of the reason a call ended with what its waiter is refused with. */
export function arrival<T>({ reasonOf }: { reasonOf: (reason: unknown) => unknown }): Arrival<T> {
  const waiting = new Set<{ resolve: (value: T) => void; reject: (why: unknown) => void }>()
  return {
    get awaited() {
      return waiting.size > 0
    },
    wait(signal) {
      if (signal?.aborted) return Promise.reject(reasonOf(signal.reason))
      const { promise, resolve, reject } = Promise.withResolvers<T>()
      const one = { resolve, reject }
      const leave = () => {
        waiting.delete(one)
        reject(reasonOf(signal?.reason))
      }
      waiting.add(one)
      signal?.addEventListener('abort', leave, { once: true })
      return promise.finally(() => signal?.removeEventListener('abort', leave))
    },
    give(value) {
      for (const { resolve } of waiting) resolve(value)
      waiting.clear()
    },
    refuse(why) {
      for (const { reject } of waiting) reject(why)
      waiting.clear()
    },
  }
}
