import { windowBytes } from './protocol.ts'

/** What the caller says to a command, on its way to the guest. */
export interface Feeder {
  start(): void
  /** The guest took so much. False if it never got that much. */
  allow(bytes: number): boolean
  /** Reads no more from the caller. */
  stop(): void
}

export interface FeederTarget {
  /** A piece of any size. */
  send(piece: Uint8Array): void
  end(): void
  /** The caller's iterable threw. */
  failed(fault: unknown): void
  /** Pieces are few and small: no window. */
  unlimited?: boolean
}

/** Reads the caller's pieces only as fast as the guest takes them. */
export function feeder(source: AsyncIterable<Uint8Array>, target: FeederTarget): Feeder {
  let over = false
  let sent = 0
  let taken = 0
  let wake: (() => void) | undefined
  let halt: (() => void) | undefined

  /** Sends all of the piece; false if that was stopped. */
  const feed = async (piece: Uint8Array): Promise<boolean> => {
    for (let at = 0; at < piece.length && !over; ) {
      const room = target.unlimited ? piece.length : windowBytes - (sent - taken)
      if (room === 0) {
        await new Promise<void>((resolve) => (wake = resolve))
        continue
      }
      const part = piece.subarray(at, at + room)
      target.send(part)
      sent += part.length
      at += part.length
    }
    return !over
  }
  /** The next piece, or that it was stopped. A race against one promise for all would keep every piece in memory until the end: what waits for it holds its outcome. */
  const nextOf = (iterator: AsyncIterator<Uint8Array>) =>
    new Promise<IteratorResult<Uint8Array> | 'stopped'>((resolve, reject) => {
      halt = () => resolve('stopped')
      iterator.next().then(resolve, reject)
    })
  const run = async () => {
    const iterator = source[Symbol.asyncIterator]()
    try {
      for (;;) {
        const next = over ? 'stopped' : await nextOf(iterator)
        if (next === 'stopped' || over) break
        if (next.done) return target.end()
        if (!(await feed(next.value))) break
      }
    } catch (fault) {
      if (!over) target.failed(fault)
      return
    }
    // An iterator may be in the middle of a wait that never ends, so its end is not waited for.
    iterator.return?.().catch(() => undefined)
  }
  return {
    start: () => {
      run().catch(target.failed)
    },
    allow(bytes) {
      taken += bytes
      wake?.()
      wake = undefined
      return taken <= sent
    },
    stop() {
      over = true
      halt?.()
      wake?.()
      wake = undefined
    },
  }
}
