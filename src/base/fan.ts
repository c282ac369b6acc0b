import { queue } from './queue.ts'

/**
 * One stream of values for several readers, each at its own pace and none further ahead of the slowest than so many bytes. Values are shared and not copied, so many readers cost
 * no more memory than one.
 */
export interface Fan<T> {
  /** Every reader gets it. A promise means: wait for it before the next, somebody is far behind. */
  give(value: T): Promise<void> | undefined
  /** Readers get what is there, then the end, or with a fault that, at once. */
  end(fault?: Error): void
  /** One more reader, of what is given from now on. */
  lane(): Lane<T>
}

export interface Lane<T> {
  /** Undefined at the end. One at a time. */
  next(): Promise<T | undefined>
  /** It reads no more, and nobody waits for it. */
  leave(): void
}

export function fan<T>({ sizeOf, limitBytes }: { sizeOf: (value: T) => number; limitBytes: number }): Fan<T> {
  const lanes = new Set<{ come(value: T): void; end(): void }>()
  let behind = 0
  let release: (() => void) | undefined
  let ended = false
  let fault: Error | undefined
  const caughtUp = () => {
    if (--behind > 0) return
    release?.()
    release = undefined
  }
  return {
    give(value) {
      if (ended) return undefined
      for (const lane of lanes) lane.come(value)
      return behind === 0 ? undefined : new Promise((resolve) => (release = resolve))
    },
    end(broken) {
      if (ended) return
      ended = true
      fault = broken
      for (const lane of lanes) lane.end()
    },
    lane() {
      const values = queue<T>()
      const reader = values[Symbol.asyncIterator]()
      let waitingBytes = 0
      let left = false
      const come = (value: T) => {
        const bytes = sizeOf(value)
        if (waitingBytes < limitBytes && waitingBytes + bytes >= limitBytes) behind++
        waitingBytes += bytes
        values.push(value)
      }
      const taken = (bytes: number) => {
        if (waitingBytes >= limitBytes && waitingBytes - bytes < limitBytes) caughtUp()
        waitingBytes -= bytes
      }
      const own = { come, end: values.end }
      lanes.add(own)
      if (ended) values.end()
      return {
        async next() {
          if (!fault && !left) {
            const { value, done } = await reader.next()
            if (!fault && !left && !done) {
              taken(sizeOf(value))
              return value
            }
          }
          if (fault) throw fault
          return undefined
        },
        leave() {
          left = true
          lanes.delete(own)
          taken(waitingBytes)
          values.end()
        },
      }
    },
  }
}
