import type { Batch, Change, Revision, WatchCall } from './store.ts'

/** The recent past of a store and those who follow it. */
export interface History {
  /** The newest revision. */
  readonly revision: Revision
  /** Appends the next commit and wakes whoever waits for it. */
  publish(changes: readonly Change[], sizeBytes: number): void
  watch(prefix: string, from: Revision, call?: WatchCall): AsyncIterable<Batch>
  /** Ends all watches. */
  close(): void
}

export interface HistoryOptions {
  /** The revision before the first that is remembered. */
  revision: Revision
  limits?: { commits: number; bytes: number }
}

interface Reader {
  readonly prefix: string
  readonly progress: boolean
  /** The last revision it has passed. */
  at: Revision
  wake: () => void
}

/**
 * Remembers the last commits once for all readers. A reader is only a position in them and has no queue of its own, so a slow one
 * costs nothing and falls out of the memory in the end: then it is told `expired`.
 */
export function history({ revision, limits = { commits: 10_000, bytes: 64 << 20 } }: HistoryOptions): History {
  const commits = new Map<Revision, { changes: readonly Change[]; sizeBytes: number }>()
  const parked = new Set<Reader>()
  let oldest = revision + 1
  let newest = revision
  let bytes = 0
  let closed = false

  const trim = () => {
    while (commits.size > limits.commits || (bytes > limits.bytes && commits.size > 1)) {
      bytes -= commits.get(oldest)?.sizeBytes ?? 0
      commits.delete(oldest++)
    }
  }

  const wakeFor = (changes: readonly Change[]) => {
    for (const reader of parked) {
      if (!reader.progress && !changes.some(({ key }) => key.startsWith(reader.prefix))) {
        reader.at = newest
        continue
      }
      parked.delete(reader)
      reader.wake()
    }
  }

  const next = (reader: Reader): Batch | undefined => {
    if (reader.at + 1 < oldest || reader.at > newest) return { expired: true }
    const before = reader.at
    while (reader.at < newest) {
      const changes = under(reader.prefix, commits.get(++reader.at)!.changes)
      if (changes.length > 0) return { revision: reader.at, changes }
    }
    return reader.progress && reader.at > before ? { revision: reader.at, changes: [] } : undefined
  }

  return {
    get revision() {
      return newest
    },
    publish(changes, sizeBytes) {
      commits.set(++newest, { changes, sizeBytes })
      bytes += sizeBytes
      trim()
      wakeFor(changes)
    },
    async *watch(prefix, from, { signal, progress = false } = {}) {
      const reader: Reader = { prefix, progress, at: from, wake: () => undefined }
      const stop = () => reader.wake()
      signal?.addEventListener('abort', stop, { once: true })
      try {
        while (!signal?.aborted && !closed) {
          const batch = next(reader)
          if (batch) yield batch
          if (batch?.expired) return
          if (!batch) await new Promise<void>((resolve) => parked.add(Object.assign(reader, { wake: resolve })))
        }
      } finally {
        parked.delete(reader)
        signal?.removeEventListener('abort', stop)
      }
    },
    close() {
      closed = true
      for (const reader of parked) reader.wake()
    },
  }
}

/** The changes under the prefix: the same array when all are. */
function under(prefix: string, changes: readonly Change[]): readonly Change[] {
  const all = changes.every(({ key }) => key.startsWith(prefix))
  return all ? changes : Object.freeze(changes.filter(({ key }) => key.startsWith(prefix)))
}
