import { chmodSync, readdirSync, rmSync, statSync } from 'node:fs'
import { chown, open, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { hasErrno } from '../../base/files.ts'
import { fail } from '../../model/errors.ts'
import { shown } from '../../model/names.ts'
import type { DriverHome } from '../engine/engine.ts'
import { isGrowth, noRoom } from './growth.ts'
import { closedTo } from './passage.ts'

/** The volumes of a driver that keeps one file for each, all in `home.dir`: what all such drivers do alike. */
export interface VolumeFiles {
  /** The file of a volume; `not_found` if there is none. */
  find(id: string): Promise<string>
  /** Makes the volume by filling a file of mode 0600 beside it that then takes its name; one that is there gets its owner and, if it is smaller, its size. */
  make(id: string, wanted: Wanted): Promise<void>
  /** Makes `file`, outside of the directory, from the volume: filled under another name, on the disk for good when it takes its own. */
  keep(id: string, file: string, fill: (volume: string, temporary: string) => Promise<void>): Promise<void>
  destroy(id: string): Promise<void>
  list(): Promise<string[]>
}

/** A volume as it is to be, and how the driver makes it so. */
export interface Wanted {
  sizeBytes: number
  owner: number | undefined
  fill(temporary: string): Promise<void>
  /** What the guest sees of one that is there. */
  sizeOf(path: string): number
  /** In one step that a crash leaves undone or done. */
  grow(path: string): Promise<void>
}

/**
 * Opens the directory and removes what a crash left in it. Owners of volumes may pass through it and not look around; so they must be
 * able to pass through every directory above it.
 */
export function volumeFiles({ dir, effects }: DriverHome, suffix: string): VolumeFiles {
  chmodSync(dir, 0o711)
  for (const name of readdirSync(dir)) {
    const path = join(dir, name)
    // After a power cut, a file can have its name and none of its bytes.
    if (!name.endsWith(unfinished) && !(name.endsWith(suffix) && statSync(path).size === 0)) continue
    effects.act({ kind: 'file', verb: 'remove', subject: path }, () => rmSync(path, { force: true }))
  }
  const pathOf = (id: string) => join(dir, `${checkedId(id)}${suffix}`)
  const inTurn = turns()
  const act = async <T>(verb: 'make' | 'change' | 'remove', path: string, run: () => Promise<T>) => effects.act({ kind: 'file', verb, subject: path }, run)

  const give = async (path: string, owner: number | undefined) => {
    if (owner === undefined) return
    await chown(path, owner, owner)
    const closed = closedTo(owner, dir)
    if (closed !== undefined) fail('denied', `user ${owner} cannot reach its volume: ${closed} does not let it pass`, { remedy: `chmod a+x ${closed}` })
  }
  /** What is filled takes its name, or goes. */
  const made = async (path: string, temporary: string, filled: () => Promise<void>) => {
    try {
      await act('make', temporary, filled)
      await act('make', path, () => rename(temporary, path))
    } catch (fault) {
      // Without this the next start would do it; so a failure here is not one of the call.
      if (exists(temporary)) await act('remove', temporary, () => rm(temporary, { force: true })).catch(() => undefined)
      throw fault
    }
  }
  return {
    async find(id) {
      const path = pathOf(id)
      return exists(path) ? path : notThere(id)
    },
    make: async (id, { sizeBytes, owner, fill, sizeOf, grow }) =>
      inTurn(pathOf(id), async (path) => {
        if (exists(path)) {
          if (isGrowth(id, sizeOf(path), sizeBytes)) await act('change', path, () => grow(path).catch((fault: unknown) => roomless(id, fault)))
          return act('change', path, () => give(path, owner))
        }
        const temporary = `${path}${unfinished}`
        const filled = async () => {
          await fill(temporary)
          await give(temporary, owner)
        }
        await made(path, temporary, filled).catch((fault: unknown) => roomless(id, fault))
      }),
    keep: async (id, file, fill) =>
      inTurn(pathOf(id), async (path) => {
        if (!exists(path)) notThere(id)
        const temporary = `${file}${unfinished}`
        const filled = async () => {
          await rm(temporary, { force: true })
          await fill(path, temporary)
          await synced(temporary)
        }
        await made(file, temporary, filled).catch((fault: unknown) => roomless(id, fault))
        await synced(dirname(file))
      }),
    destroy: async (id) =>
      inTurn(pathOf(id), async (path) => {
        if (exists(path)) await act('remove', path, () => rm(path, { force: true }))
      }),
    list: async () => (await readdir(dir)).flatMap((name) => (name.endsWith(suffix) ? [name.slice(0, -suffix.length)] : [])),
  }
}

/** Refuses an id that is not safe as a file name. */
export function checkedId(id: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(id)) return id
  return fail('invalid', `${shown(id)} cannot name a volume`, { remedy: 'use 1 to 128 letters, digits, ".", "-" and "_", beginning with a letter or digit' })
}

function roomless(id: string, fault: unknown): never {
  if (hasErrno(fault, 'ENOSPC') || hasErrno(fault, 'EDQUOT')) return noRoom(`volume ${id}`, fault)
  throw fault
}

const notThere = (id: string): never => fail('not_found', `there is no volume ${id}`, { subject: `volume/${id}` })

const unfinished = '.new'

async function synced(path: string): Promise<void> {
  await using file = await open(path)
  await file.sync()
}

// At once: it is asked all the time, and answered from memory.
const exists = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined

/** Works on one key one after the other. */
function turns() {
  const last = new Map<string, Promise<unknown>>()
  return async <T>(key: string, work: (key: string) => Promise<T>): Promise<T> => {
    const before = last.get(key)
    const mine = Promise.allSettled([before]).then(() => work(key))
    last.set(key, mine)
    try {
      return await mine
    } finally {
      if (last.get(key) === mine) last.delete(key)
    }
  }
}
