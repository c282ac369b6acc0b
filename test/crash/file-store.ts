import { errorOf } from '../../src/model/errors.ts'
import type { World } from '../../src/base/world.ts'
import { contents } from '../../src/store/contents.ts'
import { type Backend, withLeases } from '../../src/store/leases.ts'
import { type Database, openDatabase } from '../../src/store/sqlite-database.ts'
import type { Entry, Store } from '../../src/store/store.ts'
import { seal, shared } from '../../src/store/writes.ts'

/** The SQLite store without its thread: the same file, opened and left in an instant, so that a server can live and die a thousand times in a minute. */
export function fileStore(file: string, world: World): { store: Store; rows(): readonly Entry[]; leave(): void } {
  const database: Database = openDatabase(file)
  const held = contents(
    database.revision,
    Array.from(database.rows(), ({ key, value, revision }) => Object.freeze({ key, value: shared(value), revision })),
  )
  const backend: Backend = {
    get: async (key) => held.get(key),
    list: async (prefix) => held.list(prefix),
    async commit(writes) {
      const sealed = seal(writes)
      const [outcome] = database.carryOut([{ writes: sealed }])
      if (typeof outcome !== 'number') throw errorOf(outcome ?? {})
      return held.apply(sealed)
    },
    watch: held.watch,
    async endLease(id) {
      database.carryOut([{ endLease: id }])
      held.endLease(id)
    },
    async [Symbol.asyncDispose]() {
      held.close()
      database[Symbol.dispose]()
    },
  }
  // The file is closed and nobody is told: the readers of a dead server go on to wait.
  return { store: withLeases(backend, world), rows: () => held.list('').items, leave: () => database[Symbol.dispose]() }
}
