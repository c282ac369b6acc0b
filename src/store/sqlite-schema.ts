import type { DatabaseSync } from 'node:sqlite'
import { fail } from '../model/errors.ts'

/** How each schema follows from the one before it; the first from an empty file. Only ever appended to. */
export const migrations: readonly string[] = [
  `CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
   INSERT INTO meta VALUES ('schema', 0), ('revision', 0);
   CREATE TABLE entries (key TEXT PRIMARY KEY, value TEXT NOT NULL, revision INTEGER NOT NULL, lease TEXT) STRICT;
   CREATE INDEX entries_by_lease ON entries (lease) WHERE lease IS NOT NULL`,
]

/** Brings the database to the last schema, all steps or none. Refuses one that is newer, or not of a store at all. */
export function migrate(db: DatabaseSync, file: string, steps: readonly string[] = migrations): void {
  const version = versionOf(db, file)
  if (version === steps.length) return
  if (version > steps.length) {
    return fail('unsupported', `${file} was written by a newer tt: its schema is ${version}, this one knows ${steps.length}`, {
      subject: file,
      remedy: 'start the version that wrote it, or a newer one',
    })
  }
  try {
    db.exec('BEGIN')
    for (const step of steps.slice(version)) db.exec(step)
    db.prepare("UPDATE meta SET value = ? WHERE name = 'schema'").run(steps.length)
    db.exec('COMMIT')
  } catch (fault) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw fault
  }
}

function versionOf(db: DatabaseSync, file: string): number {
  const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all().map(({ name }) => name)
  if (tables.length === 0) return 0
  const version = tables.includes('meta') ? db.prepare("SELECT value FROM meta WHERE name = 'schema'").get()?.value : undefined
  if (typeof version === 'number') return version
  return fail('failed', `${file} is a database of something else`, { subject: file, remedy: 'give the store a file of its own' })
}
