import { DatabaseSync } from 'node:sqlite'
import { errorOf } from '../model/errors.ts'
import { openDatabase } from './sqlite-database.ts'
import { problemFor } from './sqlite-faults.ts'

/** A record whose text is not what was written. */
export interface DamagedRecord {
  key: string
  text: string
}

/**
 * For a store that is there and does not open because records of it are damaged: gives these to `aside`, and takes those out of the store that it names once it has
 * them. Refuses as opening would where the file itself is damaged or in use.
 */
export function salvage(dir: string, aside: (records: DamagedRecord[], hasUnder: (prefix: string, containing: string) => boolean) => readonly string[]): void {
  const file = `${dir}/store.sqlite`
  try {
    salvageIn(file, aside)
  } catch (fault) {
    throw errorOf(problemFor(fault, file))
  }
}

function salvageIn(file: string, aside: Parameters<typeof salvage>[1]): void {
  openDatabase(file)[Symbol.dispose]() // As a server would: one that runs has it, a former one's leases go, an older schema is brought up.
  using db = new DatabaseSync(file)
  const records = db.prepare('SELECT key, value AS text FROM entries WHERE NOT json_valid(value) ORDER BY key').all() as unknown as DamagedRecord[]
  if (records.length === 0) return
  const among = db.prepare('SELECT 1 FROM entries WHERE key >= ? AND key < ? AND instr(value, ?) > 0 LIMIT 1')
  const hasUnder = (prefix: string, containing: string) => among.get(prefix, `${prefix.slice(0, -1)}${String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1)}`, containing) !== undefined
  const remove = db.prepare('DELETE FROM entries WHERE key = ?')
  for (const key of aside(records, hasUnder)) remove.run(key)
}
