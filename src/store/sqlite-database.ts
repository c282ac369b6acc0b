import { DatabaseSync } from 'node:sqlite'
import { readTextNow, writeWhole } from '../base/files.ts'
import { fail, type Problem, problemOf } from '../model/errors.ts'
import { isBusy, isFull, problemFor } from './sqlite-faults.ts'
import { migrate } from './sqlite-schema.ts'
import type { Damage } from './store.ts'
import { objection, type Sealed } from './writes.ts'

/** What is asked of the database: the writes of a commit, or the end of a lease. */
export type Order = { writes: readonly Pick<Sealed, 'key' | 'text' | 'expect' | 'lease'>[] } | { endLease: string }

/** The revision after an order, or why it was refused. */
export type Outcome = number | Problem

export interface Row {
  key: string
  value: string
  revision: number
}

export interface Database extends Disposable {
  /** Of the last commit. */
  readonly revision: number
  /** Everything, in the order of the keys. */
  rows(): Iterable<Row>
  /**
   * Carries out the orders, one transaction for all of them; when it returns they are on the disk. Each is done whole or refused
   * by itself. Throws when the disk failed and nobody can tell what is on it: then nothing may be asked of the database any more.
   */
  carryOut(orders: readonly Order[]): Outcome[]
  /** Damage of the file and of records, the first hundred of each. */
  check(): Damage[]
}

/**
 * Opens the store's database for this process alone, makes it if there is none, and removes what was under leases of a former process.
 * Faults of SQLite are thrown as they are, here and later; `problemFor` says what they mean.
 */
export function openDatabase(file: string): Database {
  const db = locked(file)
  try {
    migrate(db, file)
    return databaseOver(db, file)
  } catch (fault) {
    db.close()
    throw fault
  }
}

/**
 * SQLite's own lock, held as long as the connection: the kernel drops it with the process, however that ends. With it the
 * index of the log is in private memory and no other process can read either. https://sqlite.org/wal.html#noshm
 */
function locked(file: string): DatabaseSync {
  const holderFile = `${file}.holder`
  if (readTextNow(holderFile) === undefined) writeHolder(file, holderFile, '')
  // `modeof`: a new database and its log have the mode of that file, 0600, from their first moment. https://sqlite.org/uri.html
  const db = new DatabaseSync(`file:${encode(file)}?modeof=${encode(holderFile)}`)
  try {
    db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; BEGIN IMMEDIATE; COMMIT')
    db.exec('PRAGMA cache_size = -2048; PRAGMA journal_size_limit = 8388608; PRAGMA temp_store = MEMORY')
    writeHolder(file, holderFile, `${process.pid}\n`)
    return db
  } catch (fault) {
    db.close()
    if (!isBusy(fault)) throw fault
    const pid = readTextNow(holderFile)?.trim()
    return fail('conflict', `the store ${file} is in use by ${pid ? `process ${pid}` : 'another process'}`, { subject: file, remedy: 'one server per data directory: stop that one, or choose another directory' })
  }
}

function writeHolder(file: string, holderFile: string, text: string): void {
  try {
    writeWhole(holderFile, text, { mode: 0o600 })
  } catch (fault) {
    fail('failed', `the store ${file} cannot be made: ${problemOf(fault).message}`, { subject: file, remedy: 'see that its directory is there and that this user may write it', cause: fault })
  }
}

/** As a path inside a URI; https://sqlite.org/uri.html */
const encode = (path: string) => path.split('/').map(encodeURIComponent).join('/')

function databaseOver(db: DatabaseSync, file: string): Database {
  const revisionOf = db.prepare('SELECT revision FROM entries WHERE key = ?')
  const put = db.prepare('INSERT INTO entries VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value, revision = excluded.revision, lease = excluded.lease')
  const remove = db.prepare('DELETE FROM entries WHERE key = ?')
  const removeLeased = db.prepare('DELETE FROM entries WHERE lease = ?')
  const saveRevision = db.prepare("UPDATE meta SET value = ? WHERE name = 'revision'")
  let revision = Number(db.prepare("SELECT value FROM meta WHERE name = 'revision'").get()?.value)

  const write = ({ key, text, lease }: Pick<Sealed, 'key' | 'text' | 'lease'>): boolean => {
    if (text === undefined) return false
    if (text === null) return remove.run(key).changes !== 0
    return put.run(key, text, revision + 1, lease ?? null).changes !== 0
  }

  const carryOutOne = (order: Order): Outcome => {
    if ('endLease' in order) return removeLeased.run(order.endLease).changes === 0 ? revision : ++revision
    for (const one of order.writes) {
      const problem = one.expect === undefined ? undefined : objection(one, revisionOf.get(one.key)?.revision as number | undefined)
      if (problem) return problem
    }
    const wrote = order.writes.map(write).includes(true)
    return wrote ? ++revision : revision
  }

  const transaction = <T>(work: () => T): T => {
    const before = revision
    try {
      db.exec('BEGIN')
      const result = work()
      if (revision !== before) saveRevision.run(revision)
      db.exec('COMMIT')
      return result
    } catch (fault) {
      revision = before
      if (db.isTransaction) db.exec('ROLLBACK')
      throw fault
    }
  }

  const carryOut = (orders: readonly Order[]): Outcome[] => {
    try {
      return transaction(() => orders.map(carryOutOne))
    } catch (fault) {
      // Only a full disk is known to have written nothing. After a failed sync a second try may falsely succeed: https://lwn.net/Articles/752063/
      if (!isFull(fault)) throw fault
      return orders.length > 1 ? orders.flatMap((order) => carryOut([order])) : [problemFor(fault, file)]
    }
  }

  transaction(() => {
    if (db.prepare('DELETE FROM entries WHERE lease IS NOT NULL').run().changes !== 0) revision++
  })
  return {
    get revision() {
      return revision
    },
    rows: () => db.prepare('SELECT key, value, revision FROM entries ORDER BY key').iterate() as Iterable<unknown> as Iterable<Row>,
    carryOut,
    check: () => [
      ...looked(file, () => (db.prepare('PRAGMA quick_check(100)').all() as { quick_check: string }[]).flatMap(({ quick_check: why }) => (why === 'ok' ? [] : [{ why }]))),
      ...looked(file, () => (db.prepare('SELECT key FROM entries WHERE NOT json_valid(value) LIMIT 100').all() as { key: string }[]).map(({ key }) => ({ key, why: 'it is not JSON' }))),
    ],
    [Symbol.dispose]: () => db.close(),
  }
}

/** A look that itself fails is a finding: only what is asked of the database beside it decides whether it can go on. */
function looked(file: string, look: () => Damage[]): Damage[] {
  try {
    return look()
  } catch (fault) {
    return [{ why: problemFor(fault, file).message }]
  }
}
