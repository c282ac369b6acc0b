import { chmodSync, readdirSync, rmSync, statSync } from 'node:fs'
import { chown, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { hasErrno } from '../../base/files.ts'
import { fail } from '../../model/errors.ts'
import { shown } from '../../model/names.ts'
import type { DriverHome } from '../engine/engine.ts'

/** The volumes of a driver that keeps one file for each, all in `home.dir`: what all such drivers do alike. */
export interface VolumeFiles {
  /** The file of a volume; `not_found` if there is none. */
  find(id: string): Promise<string>
  /** Makes the volume by filling a file of mode 0600 beside it that then takes its name; one that is there only gets its owner. */
  make(id: string, owner: number | undefined, fill: (temporary: string) => Promise<void>): Promise<void>
  destroy(id: string): Promise<void>
  list(): Promise<string[]>
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
  return {
    async find(id) {
      const path = pathOf(id)
      return exists(path) ? path : fail('not_found', `there is no volume ${id}`, { subject: `volume/${id}` })
    },
    make: async (id, owner, fill) =>
      inTurn(pathOf(id), async (path) => {
        if (exists(path)) return act('change', path, () => give(path, owner))
        const temporary = `${path}${unfinished}`
        try {
          await act('make', temporary, async () => {
            await fill(temporary)
            await give(temporary, owner)
          })
          await act('make', path, () => rename(temporary, path))
        } catch (fault) {
          // Without this the next start would do it; so a failure here is not one of the call.
          if (exists(temporary)) await act('remove', temporary, () => rm(temporary, { force: true })).catch(() => undefined)
          if (hasErrno(fault, 'ENOSPC') || hasErrno(fault, 'EDQUOT')) fail('exhausted', `there is no room for volume ${id}`, { cause: fault })
          throw fault
        }
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

/** The first directory above `path`, or `path` itself, that the user cannot pass through or read; groups and access lists are not asked. */
export function closedTo(user: number, path: string): string | undefined {
  for (let at = path; ; at = dirname(at)) {
    const { mode, uid } = statSync(at)
    const allowed = uid === user ? mode >> 6 : mode
    const needed = at === path && (mode & 0o170000) !== 0o040000 ? 4 : 1
    if ((allowed & needed) === 0) return at
    if (at === '/') return undefined
  }
}

const unfinished = '.new'

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
