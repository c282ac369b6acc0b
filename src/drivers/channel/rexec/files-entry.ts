import { fail } from '../../../model/errors.ts'
import type { FileEntry } from '../../../model/session.ts'

const headBytes = 15
const nameLimitBytes = 256
const targetLimitBytes = 4096
const kinds = { f: 'file', d: 'directory', l: 'link' } as const

/** Takes entries out of what a guest sends, however it is cut: `u8 type, u32 mode, u64 size, u16 length, name, u16 length, target`. */
export interface EntryReader {
  take(piece: Uint8Array): FileEntry[]
  /** Something was begun that did not end. */
  readonly open: boolean
}

/** Reads the entries of a path. What a guest says is judged: no name leads out of its directory, and nothing is held beyond one entry. */
export function entryReader(path: string): EntryReader {
  let held: Buffer = Buffer.alloc(0)
  return {
    get open() {
      return held.length > 0
    },
    take(piece) {
      const bytes = held.length > 0 ? Buffer.concat([held, piece]) : Buffer.from(piece.buffer, piece.byteOffset, piece.length)
      const entries: FileEntry[] = []
      let at = 0
      for (;;) {
        const found = entryAt(bytes, at, path)
        if (!found) break
        at = found.end
        entries.push(found.entry)
      }
      // What came is the stream's, and is overwritten.
      held = Buffer.from(bytes.subarray(at))
      return entries
    },
  }
}

function entryAt(bytes: Buffer, at: number, path: string): { entry: FileEntry; end: number } | undefined {
  if (bytes.length < at + headBytes) return undefined
  const nameBytes = bytes.readUInt16LE(at + headBytes - 2)
  if (nameBytes > nameLimitBytes) broken(path)
  const named = at + headBytes + nameBytes
  if (bytes.length < named + 2) return undefined
  const targetBytes = bytes.readUInt16LE(named)
  if (targetBytes > targetLimitBytes) broken(path)
  const end = named + 2 + targetBytes
  if (bytes.length < end) return undefined
  const type = kinds[String.fromCharCode(bytes[at] as number) as keyof typeof kinds] ?? broken(path)
  const mode = bytes.readUInt32LE(at + 1)
  const sizeBytes = Number(bytes.readBigUInt64LE(at + 5))
  const name = textOf(bytes.subarray(at + headBytes, named), path)
  if (mode > 0o7777 || !Number.isSafeInteger(sizeBytes) || /[/\0]/.test(name) || name === '.' || name === '..') broken(path)
  const entry: FileEntry = { path: name, type, mode }
  if (type === 'file') entry.sizeBytes = sizeBytes
  if (type === 'link') entry.target = textOf(bytes.subarray(named + 2, end), path)
  return { entry, end }
}

function textOf(bytes: Buffer, path: string): string {
  const text = bytes.toString()
  if (Buffer.from(text).equals(bytes)) return text
  return fail('unsupported', `it holds a name or a link that is not UTF-8: ${JSON.stringify(bytes.toString('latin1').slice(0, 100))}`, { subject: path, remedy: 'give it another name, or fetch it packed by a program in the guest' })
}

const broken = (path: string): never => fail('failed', 'the guest told of files in a way that cannot be', { subject: path })
