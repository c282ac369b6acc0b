import { gate } from './queue.ts'
import { deadline, type World } from './world.ts'

export interface WorkQueueOptions {
  world: World
  /** Works that run at the same time. */
  workers: number
  /** Works that may wait; one more is refused. Without it, any number. */
  waitingMost?: number
  /** A work that has waited so long fails without having begun. */
  waitLimitMs?: number
}

export interface WorkLimits {
  /** Each try of the work is told to end after so long. */
  timeMs?: number
  /** How often it is tried in all; 1 if left out. */
  tries?: number
  /** Before the second try, and twice as long before each further one. */
  pauseMs?: number
}

/**
 * Works that wait for their turn, each under an id: bounded in how many run, how many wait and how long. A work with the id of one that waits or
 * runs is the same work, and all who asked for it get its one result. It keeps nothing on disk: whoever wants works to survive the
 * process writes their ids down before, and adds them again after.
 */
export interface WorkQueue extends AsyncDisposable {
  /** Resolves with the work's result. Rejects with what its last try threw, or with an Error that says which bound was met. */
  add<T>(id: string, work: (signal: AbortSignal) => Promise<T>, limits?: WorkLimits): Promise<T>
  /** Ends the work with this id, which then rejects; false if there is none. */
  cancel(id: string, reason?: Error): boolean
  /** Ids, in the order they came. */
  readonly running: readonly string[]
  readonly waiting: readonly string[]
}

interface Entry {
  result: Promise<unknown>
  ending: AbortController
  running: boolean
}

export function workQueue({ world, workers, waitingMost = Infinity, waitLimitMs }: WorkQueueOptions): WorkQueue {
  const entries = new Map<string, Entry>()
  let closed = false
  const turns = gate(workers)
  const ids = (running: boolean) => [...entries].flatMap(([id, entry]) => (entry.running === running ? [id] : []))

  const passed = async <T>(id: string, work: (signal: AbortSignal) => Promise<T>, { entry, limits }: { entry: Entry; limits: WorkLimits }): Promise<T> => {
    const late = new Error(`${id} waited ${waitLimitMs} ms for its turn`)
    const stop = waitLimitMs === undefined ? undefined : world.after(waitLimitMs, () => entry.running || entry.ending.abort(late))
    try {
      return await turns.pass(() => {
        entry.running = true
        stop?.()
        return tried(work, { world, limits, signal: entry.ending.signal })
      }, entry.ending.signal)
    } finally {
      stop?.()
      entries.delete(id)
    }
  }
  return {
    add<T>(id: string, work: (signal: AbortSignal) => Promise<T>, limits: WorkLimits = {}): Promise<T> {
      const known = entries.get(id)
      if (known) return known.result as Promise<T>
      if (closed) return Promise.reject(new Error(`${id} cannot wait: the queue was closed`))
      if (entries.size >= workers + waitingMost) return Promise.reject(new Error(`${id} cannot wait: ${waitingMost} works wait already`))
      const entry: Entry = { result: Promise.resolve(), ending: new AbortController(), running: false }
      entries.set(id, entry)
      const result = passed(id, work, { entry, limits })
      entry.result = result
      result.catch(() => undefined) // Whoever asked is told; one who does not listen is no fault of the process.
      return result
    },
    cancel(id, reason = new Error(`${id} was cancelled`)) {
      const entry = entries.get(id)
      entry?.ending.abort(reason)
      return entry !== undefined
    },
    get running() {
      return ids(true)
    },
    get waiting() {
      return ids(false)
    },
    async [Symbol.asyncDispose]() {
      closed = true
      const left = [...entries.values()]
      for (const { ending } of left) ending.abort(new Error('the queue was closed'))
      await Promise.allSettled(left.map(({ result }) => result))
    },
  }
}

async function tried<T>(work: (signal: AbortSignal) => Promise<T>, { world, limits, signal }: { world: World; limits: WorkLimits; signal: AbortSignal }): Promise<T> {
  const { timeMs, tries = 1, pauseMs = 1000 } = limits
  for (let attempt = 1; ; attempt++) {
    try {
      return await once(work, { world, timeMs, signal })
    } catch (fault) {
      if (signal.aborted || attempt >= tries) throw signal.aborted ? signal.reason : fault
    }
    await world.sleep(pauseMs * 2 ** (attempt - 1), signal)
  }
}

/** One try, which is over when its time is, whether or not the work heeds its signal. */
async function once<T>(work: (signal: AbortSignal) => Promise<T>, { world, timeMs, signal }: { world: World; timeMs?: number; signal: AbortSignal }): Promise<T> {
  using limit = timeMs === undefined ? { signal, [Symbol.dispose]: () => undefined } : deadline(world, timeMs, signal, new Error(`it was not done within ${timeMs} ms`))
  const { promise: over, reject } = Promise.withResolvers<never>()
  const stop = () => reject(limit.signal.reason)
  if (limit.signal.aborted) throw limit.signal.reason
  limit.signal.addEventListener('abort', stop, { once: true })
  try {
    return await Promise.race([work(limit.signal), over])
  } finally {
    limit.signal.removeEventListener('abort', stop)
  }
}
