import { errorOf } from '../model/errors.ts'
import { type History, history } from './history.ts'
import { ordered } from './ordered.ts'
import type { Change, Entry, Revision } from './store.ts'
import { objection, type Sealed, sizeOf } from './writes.ts'

/**
 * What a store of one process holds, in memory: the entries, the keys of each lease and the recent past. Readers are served from here alone.
 * It changes by whole commits, and only when these are certain: whoever keeps them decides that before.
 */
export interface Contents extends Pick<History, 'revision' | 'watch' | 'close'> {
  get(key: string): Entry | undefined
  list(prefix: string): { items: Entry[]; revision: Revision }
  /** Refuses with `conflict` unless all that the writes expect holds. */
  check(writes: readonly Sealed[]): void
  /** The next commit: returns its revision, or the present one if there was nothing to write. */
  apply(writes: readonly Sealed[]): Revision
  /** Deletes the keys of a lease, as the next commit. */
  endLease(id: string): Revision
}

/** Contents that begin with `entries`, all of them without a lease. */
export function contents(revision: Revision, entries: Iterable<Entry> = []): Contents {
  const held = ordered<Entry>()
  const leaseOf = new Map<string, string>()
  const keysOf = new Map<string, Set<string>>()
  const past = history({ revision })
  for (const entry of entries) held.set(entry.key, entry)

  const bind = (key: string, lease: string | undefined) => {
    const before = leaseOf.get(key)
    if (before === lease) return
    if (before !== undefined) {
      const keys = keysOf.get(before)
      keys?.delete(key)
      if (keys?.size === 0) keysOf.delete(before)
      leaseOf.delete(key)
    }
    if (lease === undefined) return
    leaseOf.set(key, lease)
    const keys = keysOf.get(lease)
    if (keys) keys.add(key)
    else keysOf.set(lease, new Set([key]))
  }

  const write = ({ key, text, value, lease }: Sealed, at: Revision): Change | undefined => {
    if (text === undefined) return undefined
    if (text === null) {
      if (!held.delete(key)) return undefined
      bind(key, undefined)
      return Object.freeze({ key, value: undefined })
    }
    const entry = Object.freeze({ key, value, revision: at })
    held.set(key, entry)
    bind(key, lease)
    return entry
  }

  const apply = (writes: readonly Sealed[]): Revision => {
    const next = past.revision + 1
    const changes = writes.map((one) => write(one, next)).filter((change) => change !== undefined)
    if (changes.length > 0) past.publish(Object.freeze(changes), sizeOf(writes))
    return past.revision
  }

  return {
    get revision() {
      return past.revision
    },
    watch: past.watch,
    close: past.close,
    get: held.get,
    list: (prefix) => ({ items: held.under(prefix), revision: past.revision }),
    check(writes) {
      for (const one of writes) {
        const problem = objection(one, held.get(one.key)?.revision)
        if (problem) throw errorOf(problem)
      }
    },
    apply,
    endLease: (id) => apply([...(keysOf.get(id) ?? [])].sort().map((key) => ({ key, text: null }))),
  }
}
