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

/** Values that were taken are forgotten this many at a time: each forgetting moves those that wait. */
const compactAfter = 16

export function fan<T>({ sizeOf, limitBytes }: { sizeOf: (value: T) => number; limitBytes: number }): Fan<T> {
  const lanes = new Set<{ push(value: T, bytes: number): void; rouse(): void }>()
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
      const bytes = sizeOf(value)
      for (const lane of lanes) lane.push(value, bytes)
      return behind === 0 ? undefined : new Promise((resolve) => (release = resolve))
    },
    end(broken) {
      if (ended) return
      ended = true
      fault = broken
      for (const lane of lanes) lane.rouse()
    },
    lane() {
      let values: { value: T; bytes: number }[] = []
      let head = 0
      let waitingBytes = 0
      let wake: (() => void) | undefined
      const own = {
        push(value: T, bytes: number) {
          values.push({ value, bytes })
          if (waitingBytes < limitBytes && waitingBytes + bytes >= limitBytes) behind++
          waitingBytes += bytes
          own.rouse()
        },
        rouse() {
          wake?.()
          wake = undefined
        },
      }
      const taken = (bytes: number) => {
        if (waitingBytes >= limitBytes && waitingBytes - bytes < limitBytes) caughtUp()
        waitingBytes -= bytes
      }
      lanes.add(own)
      return {
        async next() {
          for (;;) {
            if (fault) throw fault
            const first = values[head]
            if (first) {
              head++
              // A lane that is never quite empty must not hold what was taken from it.
              if (head === values.length || head === compactAfter) [values, head] = [values.slice(head), 0]
              taken(first.bytes)
              return first.value
            }
            if (ended || !lanes.has(own)) return undefined
            await new Promise<void>((resolve) => (wake = resolve))
          }
        },
        leave() {
          lanes.delete(own)
          taken(waitingBytes)
          ;[values, head] = [[], 0]
          own.rouse()
        },
      }
    },
  }
}
