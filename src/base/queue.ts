/** Values pushed by one side and read by the other as an async iterable, in order. Unbounded: for few or merged values. */
export interface Queue<T> extends AsyncIterable<T> {
  push(value: T): void
  /** No more values; readers get what is there, then the end. */
  end(): void
  readonly length: number
}

/** A queue that ends by itself when `signal` aborts. For one reader. */
export function queue<T>(signal?: AbortSignal): Queue<T> {
  const values: T[] = []
  let head = 0
  let ended = false
  let wake: (() => void) | undefined
  const rouse = () => {
    wake?.()
    wake = undefined
  }
  const end = () => {
    ended = true
    rouse()
  }
  if (signal?.aborted) ended = true
  signal?.addEventListener('abort', end, { once: true })
  const take = (): T | undefined => {
    const value = values[head]
    values[head++] = undefined as T
    if (head > 1024 && head * 2 > values.length) {
      values.splice(0, head)
      head = 0
    }
    return value
  }
  return {
    get length() {
      return values.length - head
    },
    push(value) {
      if (ended) return
      values.push(value)
      rouse()
    },
    end,
    async *[Symbol.asyncIterator]() {
      try {
        for (;;) {
          while (head < values.length) yield take() as T
          if (ended) return
          await new Promise<void>((resolve) => (wake = resolve))
        }
      } finally {
        ended = true
        signal?.removeEventListener('abort', end)
      }
    },
  }
}

/** Runs at most `width` of the given works at once, in the order they came; a waiting work whose signal aborts is dropped. */
export interface Gate {
  pass<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T>
  /** Works that are through the gate, and works before it. */
  readonly busy: number
  readonly waiting: number
}

export function gate(width: number): Gate {
  let busy = 0
  const waiting = new Set<Waiter>()
  /** One listener for all that wait under a signal: adding one looks through all there are, so a listener each would cost the square of their number. */
  const bySignal = new Map<AbortSignal, { waiters: Set<Waiter>; drop: () => void }>()

  const forget = (waiter: Waiter, signal?: AbortSignal) => {
    waiting.delete(waiter)
    const group = signal && bySignal.get(signal)
    if (!group?.waiters.delete(waiter) || group.waiters.size > 0) return
    signal?.removeEventListener('abort', group.drop)
    bySignal.delete(signal as AbortSignal)
  }
  const heed = (waiter: Waiter, signal: AbortSignal) => {
    const known = bySignal.get(signal)
    if (known) return known.waiters.add(waiter)
    const waiters = new Set([waiter])
    const drop = () => {
      for (const one of waiters) {
        forget(one, signal)
        one.reject(signal.reason)
      }
    }
    bySignal.set(signal, { waiters, drop })
    signal.addEventListener('abort', drop, { once: true })
  }
  const leave = () => {
    busy--
    const [next] = waiting
    next?.go()
  }
  const enter = (signal?: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const go = () => {
        forget(waiter, signal)
        busy++
        resolve()
      }
      const waiter: Waiter = { go, reject }
      if (busy < width) return go()
      waiting.add(waiter)
      if (signal) heed(waiter, signal)
    })
  return {
    get busy() {
      return busy
    },
    get waiting() {
      return waiting.size
    },
    async pass(work, signal) {
      await enter(signal)
      try {
        return await work()
      } finally {
        leave()
      }
    },
  }
}

interface Waiter {
  go: () => void
  reject: (fault: unknown) => void
}

/**
 * Merges calls that come close together: `add` resolves when a `flush` that had its item is through. One flush at a time;
 * what comes meanwhile is the next batch. If a batch of several fails, each item is tried alone, so one bad item fails nobody else.
 */
export interface Batcher<T, R> {
  add(item: T): Promise<R>
}

export function batcher<T, R>(flush: (items: T[]) => Promise<R[]>, limit = 1000): Batcher<T, R> {
  interface Waiting {
    item: T
    resolve: (result: R) => void
    reject: (fault: unknown) => void
  }
  let waiting: Waiting[] = []
  let running = false
  const settle = async (batch: Waiting[]): Promise<void> => {
    try {
      const results = await flush(batch.map(({ item }) => item))
      batch.forEach((one, at) => one.resolve(results[at] as R))
    } catch (fault) {
      if (batch.length === 1) return batch[0]?.reject(fault)
      for (const one of batch) await settle([one])
    }
  }
  const drain = async () => {
    running = true
    await Promise.resolve()
    while (waiting.length > 0) {
      const batch = waiting.slice(0, limit)
      waiting = waiting.slice(limit)
      await settle(batch)
    }
    running = false
  }
  return {
    add: (item) =>
      new Promise((resolve, reject) => {
        waiting.push({ item, resolve, reject })
        if (!running) void drain()
      }),
  }
}

/** Hands values over one at a time: `give` resolves when the reader has come back for the next, so a slow reader holds its writer. For one reader. */
export interface Handoff<T> extends AsyncIterable<T> {
  give(value: T): Promise<void>
  /** No more values; the reader gets the end after the last. */
  end(): void
}

export function handoff<T>(): Handoff<T> {
  const waiting = queue<{ value: T; taken: () => void }>()
  const givers = new Set<() => void>()
  let ended = false
  const end = () => {
    ended = true
    waiting.end()
    // There may never be a reader, or none that comes back.
    for (const release of givers) release()
  }
  return {
    async give(value) {
      if (ended) return
      const { promise, resolve } = Promise.withResolvers<void>()
      givers.add(resolve)
      waiting.push({ value, taken: resolve })
      await promise
      givers.delete(resolve)
    },
    end,
    async *[Symbol.asyncIterator]() {
      try {
        for await (const { value, taken } of waiting) {
          yield value
          taken()
        }
      } finally {
        end()
      }
    },
  }
}
