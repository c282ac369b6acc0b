import { appendFile, mkdir, open, readFile, rename, truncate } from 'node:fs/promises'
import { dirname } from 'node:path'
import { background } from './background.ts'
import { isMissing } from './files.ts'
import { gate } from './queue.ts'
import type { World } from './world.ts'

/** Lines that are kept for later: appended to a file, the old ones in files beside it, none changed. */
export interface LineFiles extends AsyncDisposable {
  /** Keeps a line, without its end. Never waits and never throws: what the disk refuses is kept in memory for a while and tried again. */
  write(line: string): void
  /**
   * The last `count` lines, the oldest first. With a listener also every line from then on, none left out and none twice, until `stop` is called;
   * it must be quick and must not throw.
   */
  tail(count: number, listener?: (line: string) => void): Promise<{ lines: string[]; stop(): void }>
}

export interface LineFileOptions {
  /** Made if it is not there, readable by its owner only; full ones are `path.1`, `path.2` and so on, the newest first. */
  path: string
  world: Pick<World, 'after'>
  /** A file that has grown to this is full. */
  limitBytes: number
  /** So many full ones are kept. */
  keep: number
  /** So much waits in memory for a disk that takes nothing; what is older is lost. */
  waitingBytes?: number
  /** Told when writing fails, and not again until it has worked. */
  onFault: (fault: unknown) => void
  /** A line to write in place of so many that were lost. */
  lostLine: (count: number) => string
}

const retryMs = 1000
const batchLines = 1000

export function lineFiles({ path, world, limitBytes, keep, waitingBytes = 4 << 20, onFault, lostLine }: LineFileOptions): LineFiles {
  const listeners = new Set<(line: string) => void>()
  const work = background((_name, fault) => onFault(fault))
  /** The files are touched by one at a time. */
  const turn = gate(1)
  let waiting: string[] = []
  let bytes = 0
  let lost = 0
  /** Of the file up to its last whole line; undefined before it was looked at. */
  let size: number | undefined
  let failing = false
  let begun = false
  let stopRetry: (() => void) | undefined

  const append = async (text: string) => {
    if (size === undefined) {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      size = await wholeLines(path)
    }
    if (failing) await truncate(path, size).catch((fault: unknown) => (isMissing(fault) ? undefined : Promise.reject(fault))) // A part of the last try may be there.
    await appendFile(path, text, { mode: 0o600 })
    size += Buffer.byteLength(text)
    failing = false
    if (size < limitBytes) return
    for (let at = keep - 1; at >= 0; at--) await rename(numbered(at), numbered(at + 1)).catch((fault: unknown) => (isMissing(fault) ? undefined : Promise.reject(fault)))
    size = 0
  }
  const numbered = (at: number) => (at === 0 ? path : `${path}.${at}`)

  const flush = async () => {
    while (waiting.length > 0) {
      const batch = waiting.slice(0, batchLines)
      waiting = waiting.slice(batchLines)
      bytes -= weight(batch)
      const missed = lost
      try {
        await append([...(missed > 0 ? [lostLine(missed)] : []), ...batch, ''].join('\n'))
        lost -= missed
      } catch (fault) {
        waiting = [...batch, ...waiting]
        bytes += weight(batch)
        if (!failing) onFault(fault)
        failing = true
        stopRetry = world.after(retryMs, begin)
        return
      }
    }
  }
  const begin = () => {
    stopRetry = undefined
    if (begun) return
    begun = true
    work.run('lines', () =>
      turn.pass(() => {
        begun = false
        return flush()
      }),
    )
  }

  return {
    write(line) {
      for (const listener of listeners) listener(line)
      waiting.push(line)
      bytes += line.length
      for (; bytes > waitingBytes; lost++) bytes -= waiting.shift()?.length ?? 0
      if (stopRetry === undefined) begin()
    },
    tail: (count, listener) =>
      turn.pass(async () => {
        let lines: string[] = []
        for (let at = 0; at <= keep && lines.length < count; at++) {
          const text = await readFile(numbered(at), 'utf8').catch((fault: unknown) => (isMissing(fault) ? '' : Promise.reject(fault)))
          lines = [...text.split('\n').filter((line) => line !== ''), ...lines]
        }
        if (listener) listeners.add(listener)
        return { lines: count === 0 ? [] : [...lines, ...waiting].slice(-count), stop: () => void (listener && listeners.delete(listener)) }
      }),
    async [Symbol.asyncDispose]() {
      await work[Symbol.asyncDispose]()
      await turn.pass(flush)
      stopRetry?.()
    },
  }
}

const weight = (lines: readonly string[]) => lines.reduce((sum, line) => sum + line.length, 0)

/** The size of the file, after a line that a crash left open was ended. */
async function wholeLines(path: string): Promise<number> {
  await using file = await open(path, 'a+', 0o600)
  const { size } = await file.stat()
  if (size === 0) return 0
  const last = await file.read(new Uint8Array(1), 0, 1, size - 1)
  if (last.buffer[0] === 10) return size
  await file.write('\n')
  return size + 1
}
