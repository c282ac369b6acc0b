import type { Call } from '../model/call.ts'

/**
 * The truth: keys with JSON values, one revision counter, all-or-nothing commits and a watch from any recent revision.
 * `cloud/` writes `desired/…`, `host/` writes `claim/…`, `actual/…` and `presence/…`; they meet nowhere else.
 *
 * Rules for an implementer
 * - The counter grows by one per commit that wrote something; every key written by it carries that number. Deleting a missing key writes nothing.
 * - A commit whose resolution the caller saw survives `kill -9` of this process (and of the store's, if it has one);
 *   one that rejected left no trace. A commit in flight at a crash is there whole or not at all.
 * - Commits take effect in the order of the calls. Whoever saw one resolve sees it in every `get` and `list` from then on.
 * - Values are plain JSON, at most 100 deep; what JSON cannot say is `invalid`. A value is as it was when `commit` was called. What is read is
 *   frozen and shared: never change it. `too_large` above 1 MiB for a value and 32 MiB for a commit.
 * - Keys are 1 to 512 bytes of printable ASCII; prefixes are plain text, `desired/env/` by convention with the slash.
 * - Besides the codes named below: `exhausted` when there is no room (nothing was written; it may work later), `unavailable` once the store is
 *   closed, `failed` once it is broken and cannot say what became of the call.
 */
export interface Store extends AsyncDisposable {
  get(key: string, call?: Call): Promise<Entry | undefined>
  /** Every key that begins with `prefix`, in byte order, as of one revision. */
  list(prefix: string, call?: Call): Promise<{ items: Entry[]; revision: Revision }>
  /**
   * All or nothing. Rejects with `conflict`, subject the key, when an `expect` does not hold. An empty commit, or one of
   * pure checks that hold, resolves with the present revision. Two writes to one key in a commit are `invalid`.
   * A signal that aborts before the commit was handed on drops it; after that it changes nothing, and the outcome is told.
   */
  commit(writes: readonly Write[], call?: Call): Promise<Revision>
  /**
   * Every commit after `from` that touches the prefix, in order, none twice. If `from` is older than what is remembered (10,000 commits, or 64 MiB of
   * values if that is less), or not of this store's past at all, the only batch is `{ expired: true }` and the stream ends: list again.
   * A reader that falls so far behind meets the same as its last batch. Ends when the signal aborts or the store closes.
   */
  watch(prefix: string, from: Revision, call?: WatchCall): AsyncIterable<Batch>
  /**
   * A promise to be alive, renewed by itself until disposed. Keys written under it vanish when it ends, as one commit; they do not
   * outlive the store's process either. Writing under a lease that ended is `not_found`, subject `lease/ID`. 0.1 to 86,400 seconds, `invalid` otherwise.
   */
  lease(seconds: number, call?: Call): Promise<Lease>
  /** Where there is a disk: looks through all that is kept there for damage, and names what it finds. Changes nothing, and costs a reading of it all. */
  check?(call?: Call): Promise<Damage[]>
  /** What this store leaves out of everything it shows, because nobody can read it. */
  readonly leftOut?: LeftOut
}

export interface LeftOut {
  /** By key, why. One goes when it is written anew or deleted. */
  readonly why: ReadonlyMap<string, string>
  /** The same store, which shows them too: for those who mend. */
  readonly whole: Store
}

/** Something that is not as it was written. */
export interface Damage {
  /** The key of the record that is damaged; absent if it is the file itself. */
  key?: string
  why: string
}

/** Grows with every commit; only equality and order mean anything. */
export type Revision = number

export interface Entry {
  readonly key: string
  readonly value: unknown
  /** Of the commit that last wrote it. */
  readonly revision: Revision
}

export interface Write {
  key: string
  /** A value writes it, null deletes it (a missing key is fine), absent only checks `expect`. */
  value?: unknown
  /** `absent`, or the revision the key must have. Absent: no matter. */
  expect?: 'absent' | Revision
  /** The key vanishes with this lease. A write of a value without one takes a key out of its lease. */
  lease?: string
}

export interface WatchCall extends Call {
  /**
   * Also tells of commits that do not touch the prefix: by a batch without changes, when there is nothing else to tell. Its revision
   * says that all up to there has been delivered, so a reader can tell whether it has seen a commit made elsewhere.
   */
  progress?: boolean
}

export type Batch = { revision: Revision; changes: readonly Change[]; expired?: false } | { expired: true }

export interface Change {
  readonly key: string
  /** Undefined: deleted. */
  readonly value: unknown
}

export interface Lease extends AsyncDisposable {
  readonly id: string
  /** Aborts when the lease ended without being disposed: whoever holds it must stop acting on it at once. */
  readonly lost: AbortSignal
}
