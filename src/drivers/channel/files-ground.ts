import { sha256 } from '../../base/sha256.ts'
import { TtError } from '../../model/errors.ts'
import type { FileEntry } from '../../model/session.ts'
import type { Channel, GuestFiles, NewFile } from './channel.ts'

/** A channel with files, to a guest that runs or is starting. */
export interface FilesUnderTest extends AsyncDisposable {
  channel: Channel
  /** A directory of the guest, empty and writable; cases make their own in it. */
  dir: string
  /** Breaks the stream under the channel, as a restart of the host's side would. */
  interrupt?(): void | Promise<void>
  /** The most bytes the long cases move; 50 MB unless the way is a slow one. */
  longBytes?: number
}

/** What a case is given. */
export interface FilesGround {
  readonly under: FilesUnderTest
  readonly files: GuestFiles
  /** A fresh directory of the guest. */
  fresh(): Promise<string>
}

/** Bytes that look random and are the same each time. */
export function noise(size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size)
  let state = (size + 1) | 1
  for (let at = 0; at < size; at++) {
    state = (Math.imul(state, 0x01000193) ^ (state >>> 15)) + 0x9e3779b9
    bytes[at] = state >>> 11
  }
  return bytes
}

/** So many bytes in pieces, no two of which are alike. */
export function* pieces(size: number): Generator<Buffer> {
  const piece = noise(100_000)
  for (let at = 0; at < size; at += piece.length) {
    piece.writeUInt32LE(at)
    yield Buffer.from(piece.subarray(0, size - at))
  }
}

export async function* iterate(pieces: Iterable<Uint8Array>): AsyncIterable<Uint8Array> {
  yield* pieces
}

export const newFile = (bytes: Uint8Array, mode = 0o644): NewFile => ({ sizeBytes: bytes.length, sha256: sha256(bytes), mode })

/** Writes a file in one go, as it is offered first. */
export async function put(files: GuestFiles, path: string, bytes: Buffer, mode = 0o644, overwrite = false): Promise<void> {
  const file = { ...newFile(bytes, mode), overwrite }
  const offset = await files.offer(path, file)
  await files.write(path, { ...file, offset }, iterate([bytes.subarray(offset)]))
}

/** Reads a file whole. */
export async function fetched(files: GuestFiles, path: string, offset?: number): Promise<{ bytes: Buffer; sha256: string }> {
  const heard: Buffer[] = []
  const sizeBytes = (await files.stat(path))?.sizeBytes
  const { sha256 } = await files.read(path, { offset, ...(sizeBytes === undefined ? {} : { sizeBytes }), output: (bytes) => void heard.push(Buffer.from(bytes)) })
  return { bytes: Buffer.concat(heard), sha256 }
}

/** In the order of their names. */
export async function listed(files: GuestFiles, path: string): Promise<FileEntry[]> {
  const all = await Array.fromAsync(files.list(path))
  return all.toSorted((a, b) => (a.path < b.path ? -1 : 1))
}

export const unmoded = (entry: FileEntry | undefined): Partial<FileEntry> | undefined => {
  if (!entry) return undefined
  const { mode: _, ...rest } = entry
  return rest
}

export const isCode = (code: string) => (error: unknown) => error instanceof TtError && error.code === code
