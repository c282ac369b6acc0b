import { queue } from '../../../base/queue.ts'
import type { World } from '../../../base/world.ts'

/** Who is told that a guest may have changed. Telling costs only those who listen to that guest, and the watchers of all. */
export interface Changes {
  tell(id: string): void
  /** Tells everybody of whatever they listen to. */
  tellAll(): void
  hear(id: string, listener: () => void): () => void
  /** Until the guest changes, the time has passed or one of the signals aborts. */
  next(id: string, until: { ms?: number; signals: (AbortSignal | undefined)[] }): Promise<void>
  /** Ids as they are told, each once until it is read. */
  watch(signal?: AbortSignal): AsyncIterable<string>
}

export function changes(world: World): Changes {
  const listeners = new Map<string, Set<() => void>>()
  const watchers = new Set<(id: string) => void>()

  const hear = (id: string, listener: () => void) => {
    const ofId = listeners.get(id) ?? new Set()
    listeners.set(id, ofId.add(listener))
    return () => {
      ofId.delete(listener)
      if (ofId.size === 0 && listeners.get(id) === ofId) listeners.delete(id)
    }
  }
  return {
    hear,
    tell(id) {
      for (const listener of listeners.get(id) ?? []) listener()
      for (const watcher of watchers) watcher(id)
    },
    tellAll() {
      for (const ofId of listeners.values()) for (const listener of ofId) listener()
    },
    async next(id, { ms, signals }) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const done = () => resolve()
      const stops = [hear(id, done), ...(ms === undefined ? [] : [world.after(ms, done)])]
      for (const signal of signals) {
        if (signal?.aborted) resolve()
        signal?.addEventListener('abort', done)
        stops.push(() => signal?.removeEventListener('abort', done))
      }
      await promise
      for (const stop of stops) stop()
    },
    watch(signal) {
      const line = queue<string>(signal)
      const waiting = new Set<string>()
      const watcher = (id: string) => {
        if (waiting.has(id)) return
        waiting.add(id)
        line.push(id)
      }
      watchers.add(watcher)
      const stop = () => void watchers.delete(watcher)
      signal?.addEventListener('abort', stop, { once: true })
      return (async function* () {
        try {
          for await (const id of line) {
            waiting.delete(id)
            yield id
          }
        } finally {
          stop()
        }
      })()
    },
  }
}
