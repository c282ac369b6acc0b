import { SHARE_ENV, Worker } from 'node:worker_threads'
import type { Log } from '../base/log.ts'
import type { World } from '../base/world.ts'
import { errorOf, fail, type Problem, problemOf } from '../model/errors.ts'
import { type Contents, contents } from './contents.ts'
import { type Backend, withLeases } from './leases.ts'
import type { Order, Outcome, Row } from './sqlite-database.ts'
import { type Flat, pushOrder, rowsOf } from './sqlite-wire.ts'
import { notJson } from './sound.ts'
import type { FromWorker, ToWorker } from './sqlite-worker.ts'
import type { Damage, Entry, Revision, Store } from './store.ts'
import { type Sealed, seal, shared, sizeOf } from './writes.ts'

/** `dir`: the database is `store.sqlite` in it. The directory must be there; the files are readable by this user alone. */
export type SqliteOptions = ({ dir: string } | { file: string }) & { world: World; log: Log }

interface Pending {
  order: Order
  sizeBytes: number
  signal?: AbortSignal
  /** Once the order is on the disk: brings it into the contents. */
  apply(held: Contents): Revision
  resolve(revision: Revision): void
  reject(fault: unknown): void
}

/** More than this is not given to the worker at once; what waits is dropped cheaply when it is aborted. */
const inFlightLimitBytes = 16 << 20

/** What an order takes beside its keys and values, roughly. */
const orderBytes = 128

/**
 * The store of one server, in an SQLite file. A worker thread keeps and judges the commits; what it has kept is in memory here too, so
 * reading costs no message, and the values are shared with every view.
 */
export async function sqliteStore(options: SqliteOptions): Promise<Store> {
  const file = 'file' in options ? options.file : `${options.dir}/store.sqlite`
  const worker = startWorker(file)
  const held = await loaded(worker)
  const { check, ...backend } = backendOver(worker, held, options.log.with({ store: file }))
  return { ...withLeases(backend, options.world), check }
}

function startWorker(file: string): Worker {
  // The same extension as this file: .ts unbuilt, .js built.
  const url = new URL(import.meta.url.replace(/sqlite(\.\w+)$/, 'sqlite-worker$1'))
  return new Worker(url, {
    name: 'store',
    workerData: { file },
    env: SHARE_ENV,
    execArgv: [], // Those of this process may not suit a file, as after `node --eval`.
    resourceLimits: { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 4 },
  })
}

/** The contents as they are on the disk. */
async function loaded(worker: Worker): Promise<Contents> {
  const { promise, resolve, reject } = Promise.withResolvers<Contents>()
  const entries: Entry[] = []
  const take = (message: FromWorker) => {
    if ('rows' in message) for (const row of rowsOf(message.rows)) entries.push(entryOf(row))
    else if ('opened' in message) resolve(contents(message.opened, entries))
    else if ('broken' in message) reject(errorOf(message.broken))
  }
  const guarded = (message: FromWorker) => {
    try {
      take(message)
    } catch (fault) {
      reject(fault)
    }
  }
  worker.on('message', guarded).on('error', reject)
  try {
    return await promise
  } catch (fault) {
    await worker.terminate()
    throw fault
  } finally {
    worker.off('message', guarded).off('error', reject)
  }
}

/** One whose text is no JSON keeps its place, so that whoever may can write it anew. */
function entryOf({ key, value, revision }: Row): Entry {
  try {
    return Object.freeze({ key, value: shared(value), revision })
  } catch {
    return Object.freeze({ key, value: notJson, revision })
  }
}

function backendOver(worker: Worker, held: Contents, log: Log): Backend & Required<Pick<Store, 'check'>> {
  let waiting: Pending[] = []
  const inFlight: Pending[] = []
  let inFlightBytes = 0
  let flushing = false
  let broken: Problem | undefined
  let closed: Promise<void> | undefined
  const asked: { resolve: (damages: Damage[]) => void; reject: (fault: unknown) => void }[] = []
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()))

  const enter = (signal?: AbortSignal) => {
    signal?.throwIfAborted()
    if (broken) throw errorOf(broken)
    if (closed) fail('unavailable', 'the store is closed')
  }

  const ask = (pending: Omit<Pending, 'resolve' | 'reject'>): Promise<Revision> =>
    new Promise((resolve, reject) => {
      waiting.push({ ...pending, resolve, reject })
      if (flushing) return
      flushing = true
      queueMicrotask(flush)
    })

  const flush = () => {
    flushing = false
    const flat: Flat = []
    let taken = 0
    for (const pending of waiting) {
      if (pending.signal?.aborted) pending.reject(pending.signal.reason)
      else if (inFlightBytes > 0 && inFlightBytes + pending.sizeBytes > inFlightLimitBytes) break
      else {
        pushOrder(flat, pending.order)
        inFlight.push(pending)
        inFlightBytes += pending.sizeBytes
      }
      taken++
    }
    waiting = waiting.slice(taken)
    if (flat.length > 0) worker.postMessage(flat satisfies ToWorker)
  }

  const settle = (outcomes: Outcome[]) => {
    inFlight.splice(0, outcomes.length).forEach((pending, at) => {
      inFlightBytes -= pending.sizeBytes
      const outcome = outcomes[at]!
      if (broken) return pending.reject(errorOf(broken))
      if (typeof outcome !== 'number') return pending.reject(errorOf(outcome))
      const revision = pending.apply(held)
      if (revision === outcome) return pending.resolve(revision)
      pending.reject(stop({ code: 'internal', message: `the store has revision ${revision} in memory and ${outcome} on the disk` }))
    })
    if (waiting.length > 0) flush()
  }

  /** For good: what was asked and not answered may or may not be on the disk. */
  const stop = (problem: Problem): Error => {
    if (!broken) log.error('the store stopped', { problem })
    broken ??= problem
    for (const pending of [...inFlight.splice(0), ...waiting.splice(0), ...asked.splice(0)]) pending.reject(errorOf(broken))
    held.close()
    return errorOf(broken)
  }

  worker.on('message', (message: FromWorker) => {
    if ('outcomes' in message) settle(message.outcomes)
    else if ('damages' in message) asked.splice(0).forEach(({ resolve }) => resolve(message.damages))
    else if ('broken' in message) stop(message.broken)
  })
  worker.on('error', (fault) => stop({ ...problemOf(fault), code: 'failed' }))
  worker.on('exit', (code) => {
    if (!closed || inFlight.length > 0) stop({ code: 'failed', message: `the thread of the store ended with ${code}` })
  })

  const close = async () => {
    if (!broken) await ask(commitOf([])).catch(() => undefined) // Behind everything that was asked before.
    held.close()
    worker.postMessage('close' satisfies ToWorker)
    await exited
  }

  const commitOf = (writes: Sealed[]) => ({ order: { writes }, sizeBytes: orderBytes + sizeOf(writes), apply: () => held.apply(writes) })

  return {
    async get(key, call) {
      enter(call?.signal)
      return held.get(key)
    },
    async list(prefix, call) {
      enter(call?.signal)
      return held.list(prefix)
    },
    async commit(writes, call) {
      enter(call?.signal)
      return ask({ ...commitOf(seal(writes)), signal: call?.signal })
    },
    watch: held.watch,
    async check(call) {
      enter(call?.signal)
      const answer = new Promise<Damage[]>((resolve, reject) => asked.push({ resolve, reject }))
      if (asked.length === 1) worker.postMessage('check' satisfies ToWorker) // Who asks meanwhile gets the same answer.
      return answer
    },
    async endLease(id) {
      enter()
      await ask({ order: { endLease: id }, sizeBytes: orderBytes, apply: () => held.endLease(id) })
    },
    [Symbol.asyncDispose]: () => (closed ??= close()),
  }
}
