import type { World } from './world.ts'

/** A World whose time stands still until it is told to pass. The same seed and the same calls give the same run. */
export interface ManualWorld extends World {
  /**
   * Lets `ms` pass. Timers run one by one at their very times, those due at once in the order they were set, and after each all that
   * follows from it without waiting is done before the next: nobody is late and nobody is starved.
   */
  advance(ms: number): Promise<void>
  /** Lets `ms` pass as if the process had been stopped: timers that fell due meanwhile are late, and run when time passes next. */
  oversleep(ms: number): void
  /** Sets the wall clock, as an administrator may; `ticks` does not notice. */
  setClock(now: number): void
  /** Timers that wait. */
  readonly timers: number
}

interface Timer {
  due: number
  run: () => void
}

/** A world that begins on 1 January 2026 at 0 ticks, with random bytes that follow from `seed`. */
export function manualWorld(seed = 1): ManualWorld {
  const timers: Timer[] = []
  const nextWord = mulberry32(seed)
  let ticks = 0
  let clockOffset = Date.UTC(2026, 0, 1)

  const after = (ms: number, run: () => void) => {
    const timer = { due: ticks + Math.max(0, ms), run }
    let at = timers.length
    while (at > 0 && timers[at - 1]!.due > timer.due) at--
    timers.splice(at, 0, timer)
    return () => {
      const place = timers.indexOf(timer)
      if (place >= 0) timers.splice(place, 1)
    }
  }

  return {
    now: () => clockOffset + ticks,
    ticks: () => ticks,
    after,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        const stop = () => {
          cancel()
          reject(signal?.reason)
        }
        const cancel = after(ms, () => {
          signal?.removeEventListener('abort', stop)
          resolve()
        })
        signal?.addEventListener('abort', stop, { once: true })
      }),
    breathe: () => Promise.resolve(),
    random: (count) => Uint8Array.from({ length: count }, () => nextWord() & 0xff),
    async advance(ms) {
      const end = ticks + ms
      await quiet()
      for (let timer = timers[0]; timer && timer.due <= end; timer = timers[0]) {
        timers.shift()
        ticks = Math.max(ticks, timer.due)
        timer.run()
        await quiet()
      }
      ticks = Math.max(ticks, end)
    },
    oversleep(ms) {
      ticks += ms
    },
    setClock(now) {
      clockOffset = now - ticks
    },
    get timers() {
      return timers.length
    },
  }
}

/** Until every promise that can go on by itself has done so. */
// oxlint-disable-next-line no-restricted-globals -- it waits for no time: it is how a turn of the event loop is known to be over.
const quiet = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Tommy Ettinger's public-domain generator: 32 bits of state are enough for dice. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let word = Math.imul(state ^ (state >>> 15), state | 1)
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61)
    return (word ^ (word >>> 14)) >>> 0
  }
}
