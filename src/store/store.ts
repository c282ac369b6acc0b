import type { Call } from '../model/call.ts'

/**
 * The truth: keys with JSON values, one revision counter, all-or-nothing commits and a watch from any recent revision.
 * `cloud/` writes `desired/…`, `host/` writes `claim/…`, `actual/…` and `presence/…`; they meet nowhere else.
 *
 * Rules for an implementer
 * - The counter grows by one per commit that wrote something; every key written by it carries that number.
 * - A commit whose resolution the caller saw survives `kill -9` of this process (and of the store's, if it has one);
 *   one that rejected left no trace. A commit in flight at a crash is there whole or not at all.
 * - Values are plain JSON. What is read is frozen and shared: never change it. 1 MiB at most per value, `too_large` otherwise.
 * - Keys are 1 to 512 bytes of printable ASCII; prefixes are plain text, `desired/env/` by convention with the slash.
 */
export interface Store extends AsyncDisposable {
  get(key: string, call?: Call): Promise<Entry | undefined>
  /** Every key that begins with `prefix`, in byte order, as of one revision. */
  list(prefix: string, call?: Call): Promise<{ items: Entry[]; revision: Revision }>
  /**
   * All or nothing. Rejects with `conflict`, subject the key, when an `expect` does not hold. An empty commit, or one of
   * pure checks that hold, resolves with the present revision. Two writes to one key in a commit are `invalid`.
   */
  commit(writes: Write[], call?: Call): Promise<Revision>
  /**
   * Every commit after `from` that touches the prefix, in order, none twice. If `from` is older than what is remembered (10,000 commits at
   * least), the first and only batch is `{ expired: true }` and the stream ends: list again. Ends when the signal aborts or the store closes.
   */
  watch(prefix: string, from: Revision, call?: Call): AsyncIterable<Batch>
  /** A promise to be alive, renewed by itself until disposed. Keys written under it vanish when it ends, as one commit. */
  lease(seconds: number, call?: Call): Promise<Lease>
}

/** Grows with every commit; only equality and order mean anything. */
export type Revision = number

export interface Entry {
  key: string
  value: unknown
  /** Of the commit that last wrote it. */
  revision: Revision
}

export interface Write {
  key: string
  /** A value writes it, null deletes it (a missing key is fine), absent only checks `expect`. */
  value?: unknown
  /** `absent`, or the revision the key must have. Absent: no matter. */
  expect?: 'absent' | Revision
  /** The key vanishes with this lease. A write without one takes a key out of its lease. */
  lease?: string
}

export type Batch =
  | { revision: Revision; changes: { key: string; /** undefined: deleted */ value: unknown }[]; expired?: false }
  | { expired: true }

export interface Lease extends AsyncDisposable {
  readonly id: string
  /** Aborts when the lease ended without being disposed: whoever holds it must stop acting on it at once. */
  readonly lost: AbortSignal
}
