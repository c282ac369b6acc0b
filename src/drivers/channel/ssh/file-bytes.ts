import { createHash } from 'node:crypto'
import type { Sftp } from './sftp.ts'

/** What is asked for at once, and how often before the first is answered: a guest some milliseconds away is to be kept busy. */
const pieceBytes = 32 << 10
const ahead = 32

/** Reads a file's bytes in their order; where it ended. */
export async function arriving(sftp: Sftp, path: string, { from, most = Infinity, output }: { from: number; most?: number; output: (bytes: Buffer) => void | Promise<void> }): Promise<number> {
  const handle = await sftp.open(path, 'r')
  const asked: { length: number; piece: Promise<Buffer> }[] = []
  let next = from
  let at = from
  const ask = () => {
    const length = Math.min(pieceBytes, most - next)
    if (length <= 0) return
    const piece = whole(sftp, handle, next, length)
    piece.catch(() => undefined) // It is awaited in its turn, unless one before it failed.
    asked.push({ length, piece })
    next += length
  }
  try {
    for (let n = 0; n < ahead; n++) ask()
    for (let one = asked.shift(); one; one = asked.shift()) {
      const piece = await one.piece
      at += piece.length
      if (piece.length > 0) await output(piece)
      // The end when it was asked for. It may have grown since, and then a later piece would not follow this one.
      if (piece.length < one.length || at >= most) break
      ask()
    }
    return at
  } finally {
    await sftp.close(handle).catch(() => undefined)
  }
}

/** A piece in full; less only at the end of the file. */
async function whole(sftp: Sftp, handle: Buffer, at: number, length: number): Promise<Buffer> {
  const first = await sftp.read(handle, at, length)
  if (first.length === 0 || first.length === length) return first
  const rest = await whole(sftp, handle, at + first.length, length - first.length)
  return Buffer.concat([first, rest])
}

/** Writes bytes into an open file from an offset on, and cuts off what was beyond; where they ended, which is beyond the size if there were more, and the sha256 of the whole if all of it was written. */
export async function departing(sftp: Sftp, handle: Buffer, { offset, sizeBytes, bytes }: { offset: number; sizeBytes: number; bytes: AsyncIterable<Uint8Array> }): Promise<{ at: number; sha256?: string }> {
  const hash = createHash('sha256')
  const going = new Set<Promise<void>>()
  let failed: { fault: unknown } | undefined
  let at = offset
  try {
    if (offset > 0) await sftp.truncate(handle, offset)
    for await (const all of bytes) {
      if (at + all.length > sizeBytes) {
        at += all.length
        break
      }
      hash.update(all)
      for (let from = 0; from < all.length; from += pieceBytes) {
        const piece = all.subarray(from, from + pieceBytes)
        // Of its own: whoever gave it may write into it when he is asked for the next.
        const one: Promise<void> = sftp.write(handle, at, Buffer.from(piece)).then(
          () => void going.delete(one),
          (fault: unknown) => void (failed ??= { fault }),
        )
        going.add(one)
        at += piece.length
        if (going.size >= ahead) await Promise.race(going)
        if (failed) throw failed.fault
      }
    }
  } finally {
    await Promise.allSettled(going)
  }
  if (failed) throw failed.fault
  return { at, sha256: offset === 0 ? hash.digest('hex') : undefined }
}
