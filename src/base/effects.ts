import { appendFileSync, closeSync, ftruncateSync, mkdirSync, openSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { hasErrno } from './files.ts'

/** What is about to be done to the machine: enough to find it again and undo it. */
export interface Effect {
  /** The kind of thing: process, tap, bridge, nft, cgroup, mount, file, sysctl. */
  kind: string
  /** What is done to it: make, change, remove. */
  verb: 'make' | 'change' | 'remove'
  /** Its name on the machine: a path, a pid, an interface. */
  subject: string
}

/**
 * The only door to the machine: processes, taps, nft, cgroups, mounts and files that outlive a call are made, changed and
 * removed inside `act`. Each act is written to the journal first, then the crash point `before` passes, then it is
 * done, then the crash point `after` passes; so a test can kill the server on either side of every effect there is.
 */
export interface Effects {
  act<T>(effect: Effect, run: () => T): T
  /** Effects begun since the start of this process. */
  readonly count: number
}

/** Called at every crash point with the running number of the effect. */
export type CrashPoint = (at: number, side: 'before' | 'after', effect: Effect) => void

const journalLimitBytes = 8 << 20

/**
 * Effects with a journal in `file`: one JSON line per effect, rotated once (`.1`) at 8 MiB. Not synced: a power cut ends what the lines speak of
 * too. An effect that cannot be written down is not done, except that on a full disk things are removed all the same.
 */
export function journaledEffects(file: string, now: () => number, crashPoint?: CrashPoint): Effects & Disposable {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  let fd = openSync(file, 'a', 0o600)
  let size = statSync(file).size
  let count = 0
  const append = (line: string) => {
    try {
      appendFileSync(fd, line)
    } catch (fault) {
      ftruncateSync(fd, size) // A full disk takes a part of the line.
      throw fault
    }
    size += Buffer.byteLength(line)
  }
  const write = (effect: Effect) => {
    const line = `${JSON.stringify({ at: new Date(now()).toISOString(), n: count, ...effect })}\n`
    try {
      append(line)
    } catch (fault) {
      if (!hasErrno(fault, 'ENOSPC') && !hasErrno(fault, 'EDQUOT')) throw fault
      // Rather the present than the past; and what makes room on a full disk is not to wait for room.
      rmSync(`${file}.1`, { force: true })
      if (effect.verb !== 'remove') append(line)
    }
    if (size < journalLimitBytes) return
    closeSync(fd)
    renameSync(file, `${file}.1`)
    fd = openSync(file, 'a', 0o600)
    size = 0
  }
  return {
    get count() {
      return count
    },
    act(effect, run) {
      const at = ++count
      write(effect)
      crashPoint?.(at, 'before', effect)
      const done = run()
      if (!crashPoint) return done
      if (done instanceof Promise) return done.finally(() => crashPoint(at, 'after', effect)) as typeof done
      crashPoint(at, 'after', effect)
      return done
    },
    [Symbol.dispose]: () => closeSync(fd),
  }
}

/** Effects without a journal, for what owns nothing that outlives the process: tests of single drivers and the fakes. */
export function plainEffects(): Effects {
  let count = 0
  return {
    get count() {
      return count
    },
    act(_effect, run) {
      count++
      return run()
    },
  }
}
