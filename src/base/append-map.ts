import { closeSync, ftruncateSync, openSync, rmSync, writeSync } from 'node:fs'
import { readTextNow, writeWhole } from './files.ts'
import { batcher } from './queue.ts'

/**
 * Small values by key, kept in one append-only file and held in memory: for things by the ten thousand, where a file for each would cost too much.
 * A change is seen by readers, and its promise resolves, once its line is written; changes that come together are one write. A killed process
 * loses nothing that was resolved; a power cut may. The file is written anew when most of it is history, and is not there while the map is empty.
 */
export interface AppendMap<V extends object> extends Disposable {
  get(key: string): V | undefined
  keys(): string[]
  readonly size: number
  put(key: string, value: V): Promise<void>
  /** Resolves without a write if there is no such key. */
  delete(key: string): Promise<void>
}

/** Wraps each write to the file, so that it can be an effect of the owner. */
export type AroundWrite = (write: () => void) => void

/** Opens the map in `file`. A last line without an end, left by a crash, counts as not written; any other line that is none of ours throws. */
export function appendMap<V extends object>(file: string, around: AroundWrite = (write) => write()): AppendMap<V> {
  const { held, lines, sizeBytes, torn } = read<V>(file)
  const log = appendedFile(file, sizeBytes)
  let history = lines - held.size
  let disposed = false

  const compact = () => {
    log.replace(held.size === 0 ? undefined : Buffer.from([...held].map(text).join('')))
    history = 0
  }
  const flush = (batch: Line<V>[]) => {
    log.append(Buffer.from(batch.map(text).join('')))
    const before = held.size
    for (const [key, value] of batch) {
      if (value === undefined) held.delete(key)
      else held.set(key, value)
    }
    history += batch.length - (held.size - before)
    if (held.size > 0 && history <= held.size + 1000) return
    try {
      compact()
    } catch {
      // The long file is as good as the short one, and the next change tries again.
    }
  }
  const writing = batcher<Line<V>, void>(async (batch) => {
    if (disposed) throw new Error(`${file} was closed`)
    around(() => flush(batch))
    return batch.map(() => undefined)
  }, 100_000)

  if (history > 0 || torn) compact()
  return {
    get: (key) => held.get(key),
    keys: () => [...held.keys()],
    get size() {
      return held.size
    },
    put: (key, value) => writing.add([key, value]),
    delete: async (key) => {
      if (held.has(key)) await writing.add([key])
    },
    [Symbol.dispose]() {
      disposed = true
      log.close()
    },
  }
}

/** A line of the file: a key and its value, or alone a key that is gone. */
type Line<V> = [key: string, value?: V]

const text = (line: Line<unknown>) => `${JSON.stringify(line)}\n`

function read<V>(file: string) {
  const found = readTextNow(file)
  const all = found ?? ''
  const whole = all.slice(0, all.lastIndexOf('\n') + 1)
  const lines = whole.split('\n').slice(0, -1)
  const held = new Map<string, V>()
  lines.forEach((one, at) => {
    const [key, value] = lineOf<V>(one) ?? refuse(`${file}: line ${at + 1} is damaged`)
    if (value === undefined) held.delete(key)
    else held.set(key, value)
  })
  return { held, lines: lines.length, sizeBytes: Buffer.byteLength(whole), torn: found === '' || all.length > whole.length }
}

function lineOf<V>(one: string): Line<V> | undefined {
  try {
    const line: unknown = JSON.parse(one)
    return Array.isArray(line) && typeof line[0] === 'string' ? (line as Line<V>) : undefined
  } catch {
    return undefined
  }
}

function refuse(why: string): never {
  throw new Error(why)
}

/** The file as bytes: opened when first written, cut back to its last whole line if a write fails. */
function appendedFile(file: string, wholeBytes: number) {
  let fd: number | undefined
  let sizeBytes = wholeBytes
  const close = () => {
    if (fd !== undefined) closeSync(fd)
    fd = undefined
  }
  return {
    close,
    append(bytes: Buffer) {
      fd ??= openSync(file, 'a', 0o600)
      try {
        for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done)
      } catch (fault) {
        ftruncateSync(fd, sizeBytes) // A full disk takes a part of the bytes; nothing may follow them.
        throw fault
      }
      sizeBytes += bytes.length
    },
    replace(bytes?: Buffer) {
      close()
      if (bytes) writeWhole(file, bytes)
      else rmSync(file, { force: true })
      sizeBytes = bytes?.length ?? 0
    },
  }
}
