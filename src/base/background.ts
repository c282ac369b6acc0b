/**
 * Work that goes on beside the caller. Whoever starts some owns the group: disposing it aborts the signal and waits for all of it, so
 * no promise floats and nothing outlives its owner.
 */
export interface Background extends AsyncDisposable {
  readonly signal: AbortSignal
  /** Starts `work`; what it throws after the group was disposed is dropped, before that it goes to `onFault`. */
  run(name: string, work: (signal: AbortSignal) => Promise<void>): void
}

export function background(onFault: (name: string, fault: unknown) => void): Background {
  const controller = new AbortController()
  const running = new Set<Promise<void>>()
  return {
    signal: controller.signal,
    run(name, work) {
      if (controller.signal.aborted) return
      const guarded = async () => {
        try {
          await work(controller.signal)
        } catch (fault) {
          if (!controller.signal.aborted) onFault(name, fault)
        }
      }
      const promise: Promise<void> = guarded().finally(() => running.delete(promise))
      running.add(promise)
    },
    async [Symbol.asyncDispose]() {
      controller.abort()
      while (running.size > 0) await Promise.allSettled(running)
    },
  }
}
