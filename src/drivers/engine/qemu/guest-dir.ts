import { chmodSync, chownSync, closeSync, fchmodSync, fchownSync, ftruncateSync, mkdirSync, openSync, readdirSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { isMissing, readTextNow, removeAll, writeWhole } from '../../../base/files.ts'
import { argvOf, type ProcessId, processesWith, processOf } from '../../../base/processes.ts'
import { parseVmId } from '../../../model/names.ts'
import type { Plan } from '../../../model/plan.ts'
import type { CheckedPlan } from './check.ts'
import { files } from './argv.ts'

/**
 * What is kept of one guest: a directory that belongs to the server, so that a QEMU taken over by its guest cannot forge it. The guest's user
 * has only the directory `run` with the sockets, and may write on in the serial log.
 */
export interface GuestDir {
  readonly id: string
  readonly dir: string
  readonly pidFile: string
  readonly serialLog: string
  /** QEMU's own last words. */
  readonly output: string
  path(file: string): string
  exists(): boolean
  /** The file the guest sees as a disk, if it was started with one. */
  window(): string | undefined
  /** Makes or renews the directory for a start. */
  prepare(checked: CheckedPlan): void
  /** What a new server has to know of the guest. */
  facts(): Facts | undefined
  /** The living process of this guest, proved by start time and cookie. */
  process(): Found | undefined
  /** The same without the pid file, from `/proc` alone. */
  search(): Found | undefined
  remove(): void
}

export interface Facts {
  ports: string[]
  powerButton: boolean
}

export interface Found extends ProcessId {
  /** When it was started, in milliseconds since 1970. */
  sinceMs: number
}

/** `tt-MARK-ID-COOKIE`: stands in the arguments of every process of a guest. */
export const guestName = (mark: string, id: string, cookie: string) => `tt-${mark}-${id}-${cookie}`

/** The id in a name made by `guestName`, wherever in the arguments it stands. */
export function idIn(argv: readonly string[], mark: string): string | undefined {
  const start = `tt-${mark}-`
  return argv.find((argument) => argument.startsWith(start))?.slice(start.length).replace(/-[0-9a-f]*$/, '')
}

/** Ids of all guests in the engine's directory, whole or not. */
export const knownIds = (dir: string): string[] => readdirSync(dir).filter((name) => parseVmId(name) !== undefined)

/** Six MiB for pieces, and one at each end for whoever looks there for a partition table. Only what was written takes room. */
const windowBytes = 8 << 20
const windowLabel = 'tt-window: by this disk the tt agent and its host hand pieces of files to each other. It holds nothing else.\n'

export function guestDir(home: { dir: string; mark: string }, id: string): GuestDir {
  const dir = join(home.dir, id)
  const path = (file: string) => join(dir, file)
  const pidFile = path('pid')
  /** For the guest's user alone: a seed may hold secrets. Made anew at every start, whatever became of it. */
  const writeSeed = (seed: Plan['seed'], uid: number | undefined) => {
    removeAll(path(files.seed))
    if (!seed) return
    mkdirSync(path(files.seed), { mode: 0o700 })
    for (const [name, text] of Object.entries(seed)) {
      writeFileSync(join(path(files.seed), name), text, { mode: 0o400, flag: 'wx' })
      if (uid !== undefined) chownSync(join(path(files.seed), name), uid, uid)
    }
    if (uid !== undefined) chownSync(path(files.seed), uid, uid)
  }
  /** Not in `run`: a QEMU taken over by its guest could put a link in its place, for the server to write through. */
  const writeWindow = ({ window, uid }: Plan) => {
    removeAll(path(files.window))
    if (!window) return
    const file = openSync(path(files.window), 'wx', 0o600)
    writeSync(file, windowLabel)
    ftruncateSync(file, windowBytes)
    if (uid !== undefined) fchownSync(file, uid, uid)
    closeSync(file)
  }
  const self: GuestDir = {
    id,
    dir,
    pidFile,
    serialLog: path(files.serialLog),
    output: path('qemu.log'),
    path,
    exists: () => statOf(dir) !== undefined,
    window: () => (statOf(path(files.window)) ? path(files.window) : undefined),
    prepare({ plan, options }) {
      mkdirSync(dir, { recursive: true, mode: 0o700 })
      // Passable but not readable: QEMU enters it before it gives up root, and opens what it needs from there.
      chmodSync(dir, plan.uid === undefined ? 0o700 : 0o711)
      removeAll(pidFile)
      removeAll(path('run'))
      mkdirSync(path('run'), { mode: 0o700 })
      if (plan.uid !== undefined) chownSync(path('run'), plan.uid, plan.uid)
      const log = openSync(self.serialLog, 'a', 0o600)
      fchmodSync(log, 0o600)
      if (plan.uid !== undefined) fchownSync(log, plan.uid, plan.uid)
      closeSync(log)
      writeWindow(plan)
      const { seed, ...rest } = plan
      writeSeed(seed, plan.uid)
      const facts: Facts = { ports: plan.ports, powerButton: options.powerButton }
      writeWhole(path('plan.json'), JSON.stringify({ ...facts, plan: rest }))
    },
    facts() {
      const text = readTextNow(path('plan.json'))
      return text === undefined ? undefined : (JSON.parse(text) as Facts)
    },
    process() {
      const text = readTextNow(pidFile)
      if (text === undefined) return self.exists() ? self.search() : undefined
      const [pid, startTime, cookie = ''] = text.trim().split(' ')
      const found = processOf(Number(pid))
      if (found?.startTime !== Number(startTime)) return undefined
      if (!argvOf(found.pid)?.includes(guestName(home.mark, id, cookie))) return undefined
      return { ...found, sinceMs: statOf(pidFile)?.mtimeMs ?? 0 }
    },
    search() {
      const found = processesWith(`tt-${home.mark}-${id}-`).find(({ argv }) => idIn(argv, home.mark) === id)
      return found && { pid: found.pid, startTime: found.startTime, sinceMs: bootMs() + (found.startTime * 1000) / ticksPerSecond }
    },
    remove: () => removeAll(dir),
  }
  return self
}

/** USER_HZ: 100 on every architecture Node runs on. */
const ticksPerSecond = 100

const bootMs = () => Number(/^btime (\d+)$/m.exec(readTextNow('/proc/stat') ?? '')?.[1] ?? 0) * 1000

function statOf(path: string) {
  try {
    return statSync(path)
  } catch (fault) {
    if (isMissing(fault)) return undefined
    throw fault
  }
}
