import { createHash } from 'node:crypto'
import { type Gate, gate } from '../../../base/queue.ts'
import type { World } from '../../../base/world.ts'
import type { Call } from '../../../model/call.ts'
import { asTtError, fail, TtError } from '../../../model/errors.ts'
import type { Exit } from '../../../model/session.ts'
import { codeOf, type Sftp, status } from './sftp.ts'

/** Files that are not whole yet, each under a hidden name beside its place: the same names and rules as the agent has, so that one way goes on where the other broke off. */
export interface Parts {
  /** How much of it is there, if it is root's own and nobody else can have a hand in it; undefined otherwise. */
  size(sftp: Sftp, part: string, call?: Call): Promise<number | undefined>
  /** Opens one of that kind to be written on. */
  opened(sftp: Sftp, part: string): Promise<Buffer>
  /** Makes it anew, whatever was there, and opens it to be written. */
  fresh(sftp: Sftp, part: string): Promise<Buffer>
  /** Takes away what is there. */
  remove(sftp: Sftp, part: string): Promise<void>
  /** Clears old ones beside it, if that was not done lately. */
  tidy(sftp: Sftp, part: string): Promise<void>
  /** Nobody else works with this part meanwhile. */
  alone<T>(part: string, work: () => Promise<T>, call?: Call): Promise<T>
}

const lead = '.tt-part-'
const oldSeconds = 24 * 3600
const tidyEveryMs = 600_000
/** Directories whose tidying is remembered, and names of one that are looked at: each hundred is a question to the guest. */
const tidiedMost = 16
const namesMost = 20_000
const freshTries = 5

export const isPart = (name: string): boolean => name.startsWith(lead)

/** The name of a file's part: of its sha256 and its name. */
export function partOf(path: string, { sha256 }: { sha256: string }): string {
  const end = path.lastIndexOf('/') + 1
  const name = createHash('sha256').update(Buffer.from(sha256, 'hex')).update(path.slice(end)).digest('hex').slice(0, 32)
  return `${path.slice(0, end)}${lead}${name}`
}

/** A name beside a place that nobody can have taken before. */
export const strangePartOf = (path: string, random: string): string => `${path.slice(0, path.lastIndexOf('/') + 1)}${lead}${random}`

export function parts({ world, run }: { world: World; run: (argv: string[], call?: Call) => Promise<{ stdout: string; exit: Exit }> }): Parts {
  const gates = new Map<string, Gate>()
  const tidied = new Map<string, number>()

  /** A file of root's alone, with one name: the protocol does not tell how many there are, and another may be that of something else. */
  const isOurs = async (part: string, call?: Call): Promise<boolean> => {
    const said = await run(['ls', '-lnd', part], call).catch((fault: unknown) => {
      if (fault instanceof TtError && (fault.code === 'not_found' || fault.code === 'failed')) return undefined
      throw fault
    })
    return said?.exit.code === 0 && /^-rw-------\.? +1 +0 /.test(said.stdout)
  }
  const remove = async (sftp: Sftp, part: string): Promise<void> =>
    sftp.unlink(part).catch((fault: unknown) => {
      if (codeOf(fault) === status.noSuchFile) return
      if (codeOf(fault) === undefined) throw fault
      fail('denied', `'${part}' in the guest is in the way, and cannot be removed`, { subject: part, cause: fault })
    })
  const isDue = (directory: string): boolean => {
    const last = tidied.get(directory)
    if (last !== undefined && world.ticks() - last < tidyEveryMs) return false
    tidied.delete(directory)
    tidied.set(directory, world.ticks())
    for (const [oldest] of tidied) {
      if (tidied.size <= tidiedMost) break
      tidied.delete(oldest)
    }
    return true
  }

  return {
    async size(sftp, part, call) {
      const found = await sftp.lstat(part)
      return found?.isFile() && (await isOurs(part, call)) ? found.size : undefined
    },
    opened: (sftp, part) => sftp.open(part, 'r+'),
    async fresh(sftp, part) {
      for (let tries = 1; ; tries++) {
        await remove(sftp, part)
        try {
          // Only if nothing is there: a link that somebody has just put in its place would be followed.
          return await sftp.open(part, 'wx')
        } catch (fault) {
          if (codeOf(fault) !== status.failure || !(await sftp.lstat(part))) throw fault
          if (tries === freshTries) fail('denied', `somebody else in the guest makes '${part}' again and again`, { subject: part, cause: fault })
        }
      }
    },
    remove,
    async tidy(sftp, part) {
      const directory = part.slice(0, part.lastIndexOf('/') + 1)
      if (!isDue(directory)) return
      try {
        // By the guest's clock: it has just written to this one.
        const now = (await sftp.lstat(part))?.mtime ?? 0
        let seen = 0
        for await (const { filename, attrs } of sftp.list(directory)) {
          if (++seen > namesMost) break
          if (isPart(filename) && now - attrs.mtime >= oldSeconds) await sftp.unlink(`${directory}${filename}`).catch(() => undefined)
        }
      } catch (fault) {
        if (codeOf(fault) === undefined) throw fault // A directory that is not to be read stays as it is.
      }
    },
    async alone(part, work, call) {
      const own = gates.get(part) ?? gate(1)
      gates.set(part, own)
      try {
        return await own.pass(work, call?.signal)
      } catch (fault) {
        throw call?.signal?.aborted && fault === call.signal.reason ? asTtError(fault) : fault
      } finally {
        if (own.busy + own.waiting === 0) gates.delete(part)
      }
    },
  }
}
