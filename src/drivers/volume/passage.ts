import { statSync } from 'node:fs'
import { dirname } from 'node:path'

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
