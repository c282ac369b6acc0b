import { background } from '../base/background.ts'
import { inspectable } from '../base/inspect.ts'
import type { World } from '../base/world.ts'
import type { Call } from '../model/call.ts'
import { errorOf } from '../model/errors.ts'
import { type MergedChanges, mergedChanges } from './merged-changes.ts'
import { ordered } from './ordered.ts'
import type { Change, Entry, Revision, Store } from './store.ts'

/**
 * A part of the store in memory, kept up to date by a watch: lists are served from here. It shows whole commits only, a moment
 * after they were made; who must see his own waits for `reached`.
 */
export interface View<T> extends AsyncDisposable {
  get(key: string): T | undefined
  /** With its revision, for a compare-and-set. */
  entry(key: string): ViewEntry<T> | undefined
  /** In the order of the keys; of those that begin with `under`, or all. The array is the caller's. */
  values(under?: string): T[]
  entries(under?: string): ViewEntry<T>[]
  readonly size: number
  /** The newest commit it has seen, whether or not that touched anything here. */
  readonly revision: Revision
  /** Resolves once the view has seen that commit; rejects with `unavailable` when the view ends before. */
  reached(revision: Revision, call?: Call): Promise<void>
  /** What changes from this call on. A slow reader gets a key that changed often only once, as it is by then. Ends with the signal or the view. */
  changes(call?: Call): AsyncIterable<ViewChange<T>>
  /** Calls back for every key that changed, once a whole commit is in; returns how to stop. It must be quick and must not throw. */
  onChange(listener: (change: ViewChange<T>, previous: T | undefined) => void): () => void
}

export interface ViewEntry<T> extends Entry {
  readonly value: T
}

export interface ViewChange<T> {
  readonly key: string
  /** Undefined: deleted. */
  readonly value: T | undefined
}

export interface ViewOptions {
  world: World
  /** Told of what keeps the view from following, and of listeners that throw. */
  onFault: (fault: unknown) => void
}

const retryMs = 1000

/** A view of the keys that begin with `prefix`. It is filled when this resolves; what is there is taken to be a T. */
export async function view<T>(store: Store, prefix: string, { world, onFault }: ViewOptions): Promise<View<T>> {
  const held = ordered<ViewEntry<T>>()
  const listeners = new Set<(change: ViewChange<T>, previous: T | undefined) => void>()
  const readers = new Set<MergedChanges<ViewChange<T>>>()
  const waiting = new Set<{ revision: Revision; resolve: () => void; reject: (fault: Error) => void }>()
  const feed = background((_name, fault) => onFault(fault))
  let revision: Revision = -1
  let ended = false

  const apply = (changes: readonly (Change & { revision?: Revision })[], at: Revision) => {
    const told = changes.map((change) => {
      const previous = held.get(change.key)?.value
      if (change.value === undefined) held.delete(change.key)
      else held.set(change.key, { revision: at, ...change } as ViewEntry<T>)
      return { change: { key: change.key, value: change.value as T | undefined }, previous }
    })
    revision = at
    for (const { change, previous } of told) {
      for (const reader of readers) reader.push(change)
      for (const listener of listeners) tell(() => listener(change, previous))
    }
    for (const one of waiting) if (one.revision <= at) one.resolve()
  }

  const tell = (call: () => void) => {
    try {
      call()
    } catch (fault) {
      onFault(fault)
    }
  }

  /** The whole list as one change from what was here: only keys that differ are told. */
  const fill = async (signal: AbortSignal) => {
    const { items, revision: at } = await store.list(prefix, { signal })
    const there = new Set(items.map(({ key }) => key))
    const gone = held.under('').filter(({ key }) => !there.has(key))
    const differing = items.filter((item) => held.get(item.key)?.revision !== item.revision)
    apply([...gone.map(({ key }) => ({ key, value: undefined })), ...differing], at)
  }

  /** Until what is remembered of the past does not reach back to here (true), or the store or the view has ended. */
  const expired = async (signal: AbortSignal): Promise<boolean> => {
    for await (const batch of store.watch(prefix, revision, { signal, progress: true })) {
      if (batch.expired) return true
      apply(batch.changes, batch.revision)
    }
    return false
  }

  const follow = async (signal: AbortSignal) => {
    try {
      for (let again = await expired(signal); again; again = await expired(signal)) await fill(signal)
      return true
    } catch (fault) {
      if (!signal.aborted) onFault(fault)
      return false
    }
  }

  const end = () => {
    ended = true
    for (const reader of readers) reader.end()
    for (const one of waiting) one.reject(endOf(prefix))
  }

  try {
    await fill(feed.signal)
  } catch (fault) {
    await feed[Symbol.asyncDispose]()
    throw fault
  }
  feed.run('view', async (signal) => {
    while (!(await follow(signal)) && !signal.aborted) await world.sleep(retryMs, signal)
    end()
  })

  const shown = inspectable({ kind: 'view', name: prefix, state: () => ({ size: held.size, revision, listeners: listeners.size, readers: readers.size, waiting: waiting.size, ended }) })

  return {
    get: (key) => held.get(key)?.value,
    entry: held.get,
    values: (under = '') => held.under(under).map(({ value }) => value),
    entries: (under = '') => held.under(under),
    get size() {
      return held.size
    },
    get revision() {
      return revision
    },
    async reached(wanted, call) {
      call?.signal?.throwIfAborted()
      if (wanted <= revision) return
      if (ended) throw endOf(prefix)
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const one = { revision: wanted, resolve, reject }
      const stop = () => reject(call?.signal?.reason)
      waiting.add(one)
      call?.signal?.addEventListener('abort', stop, { once: true })
      try {
        await promise
      } finally {
        waiting.delete(one)
        call?.signal?.removeEventListener('abort', stop)
      }
    },
    changes(call) {
      const reader = mergedChanges<ViewChange<T>>(() => readers.delete(reader), call?.signal)
      if (ended || call?.signal?.aborted) reader.end()
      else readers.add(reader)
      return reader
    },
    onChange(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    async [Symbol.asyncDispose]() {
      shown[Symbol.dispose]()
      await feed[Symbol.asyncDispose]()
      end()
    },
  }
}

const endOf = (prefix: string) => errorOf({ code: 'unavailable', message: `the view of ${prefix || 'everything'} has ended` })
