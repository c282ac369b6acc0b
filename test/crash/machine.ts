import { copyFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { temporaryDir } from '../fake-cloud.ts'

/** What really lies on a machine of fakes: read from the files by this code alone, which shares nothing with the server. */
export interface Machine {
  guests: Map<string, { runs: { from: number; until?: number }[] }>
  links: Map<string, { slice: string; ip: string; mac: string; ports: Record<string, number>; denyOutgoing: boolean; deny?: string[] }>
  volumes: Map<string, { sizeBytes: number }>
  /** Everything in the store, by key. */
  store: Map<string, unknown>
}

/** The files of the drivers and the store: as a server lays them out below its data directory. */
export interface MachineFiles {
  guests: string
  links: string
  volumes: string
  store: string
}

export const filesOf = (dataDir: string): MachineFiles => ({
  guests: join(dataDir, 'engine/fake/guests'),
  links: join(dataDir, 'network/fake/links'),
  volumes: join(dataDir, 'volume/fake/volumes'),
  store: join(dataDir, 'store/store.sqlite'),
})

/** `rows` are what the store says it has, where they are at hand: reading its file takes some ms. */
export function machineOf(files: MachineFiles, rows = rowsOf(files.store)): Machine {
  return { guests: linesOf(files.guests), links: linesOf(files.links), volumes: linesOf(files.volumes), store: rows }
}

/** A line sets a key or, without a value, takes it away; the last one counts only if it is whole. */
function linesOf<T>(file: string): Map<string, T> {
  const held = new Map<string, T>()
  if (!existsSync(file)) return held
  for (const line of readFileSync(file, 'utf8').split('\n').slice(0, -1)) {
    const [key, value] = JSON.parse(line) as [string, T?]
    if (value === undefined) held.delete(key)
    else held.set(key, value)
  }
  return held
}

/** A living server has locked its database, so a copy is read. */
export function rowsOf(file: string): Map<string, unknown> {
  using home = temporaryDir('rows', 'memory')
  const copy = join(home.dir, 'store.sqlite')
  copyFileSync(file, copy)
  if (existsSync(`${file}-wal`)) copyFileSync(`${file}-wal`, `${copy}-wal`)
  const database = new DatabaseSync(copy)
  try {
    const rows = database.prepare('SELECT key, value FROM entries').all() as { key: string; value: string }[]
    return new Map(rows.map(({ key, value }) => [key, JSON.parse(value) as unknown]))
  } finally {
    database.close()
  }
}
