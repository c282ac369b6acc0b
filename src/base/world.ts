/**
 * Time and chance. Everything that waits, reads a clock or throws dice is given a World, so that a
 * simulation can run days in seconds and repeat a failure from its seed. The lint forbids the globals elsewhere.
 */
export interface World {
  /** Wall clock in milliseconds since 1970; may jump. For what people read. */
  now(): number
  /** Milliseconds that never jump or run backwards, from an arbitrary start. For measuring and deadlines. */
  ticks(): number
  /** Resolves after `ms`; rejects with the signal's reason if that comes first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** Resolves once whatever else waits, connections and files among it, has had its turn: for work in many steps that waits for nothing itself. */
  breathe(): Promise<void>
  /** Calls `run` once after `ms` unless the returned function is called before. */
  after(ms: number, run: () => void): () => void
  /** `count` unpredictable bytes. */
  random(count: number): Uint8Array
}

/** The real one: the machine's clock, timers and entropy. */
export const realWorld: World = {
  now: () => Date.now(),
  ticks: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', stop)
        resolve()
      }, ms)
      timer.unref()
      const stop = () => {
        clearTimeout(timer)
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', stop, { once: true })
    }),
  breathe: () => new Promise((resolve) => void setImmediate(resolve)),
  after: (ms, run) => {
    const timer = setTimeout(run, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
  // Fetched when it is wanted: loading crypto costs each start of the client 4 ms, and most of its commands throw no dice.
  random: (count) => process.getBuiltinModule('node:crypto').randomBytes(count),
}

/** Keeps the process alive until it is disposed: what waits on a World's timers alone would end. */
export function wakefulness(): Disposable {
  const timer = setInterval(() => undefined, 2 ** 30)
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

/** `bytes` random bytes as lower-case hexadecimal: names that cannot be guessed. */
export const randomHex = (world: World, bytes: number): string => Buffer.from(world.random(bytes)).toString('hex')

/** A signal that aborts with `reason` after `ms` or when `outer` does, whichever is first; `stop` disarms the timer. */
export function deadline(world: World, ms: number, outer?: AbortSignal, reason: Error = new Error(`no answer within ${ms} ms`)) {
  const controller = new AbortController()
  const stop = world.after(ms, () => controller.abort(reason))
  const signal = outer ? AbortSignal.any([outer, controller.signal]) : controller.signal
  return { signal, [Symbol.dispose]: stop }
}
