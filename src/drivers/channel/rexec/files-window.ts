import { queue } from '../../../base/queue.ts'
import { hasher } from '../../../base/sha256.ts'
import { fail } from '../../../model/errors.ts'
import { type Lease, placeBytes, tagBytes } from './window.ts'

/** What the guest and we say of pieces, as guest/agent/files-window.c has it: u32 place; or u32 place, u32 length, tag. */
const placeSize = 4
const pieceSize = placeSize + 4 + tagBytes
/** In the place of a piece without length: how the whole was judged. */
const verdicts = { whole: 1, wrong: 2 }

/** Files that are smaller go by the port, which needs no preparation. */
export const leastBytes = 256 << 10

/** A transfer's side of the port: what is said to the guest, and what it says. */
export interface Aside {
  stdin: AsyncIterable<Uint8Array>
  output(bytes: Uint8Array): void
  /** Resolves when all that the guest told of has been dealt with. */
  done(): Promise<void>
  /** What ended the transfer on this side: it says more than the end the guest makes of it. */
  readonly fault: unknown
  /** Nothing is read or passed on any more. */
  stop(): void
}

interface Piece {
  at: number
  parts: Uint8Array[]
  length: number
}

/** Bytes on their way in. When all have come the guest is told whether their sha256 is the one that was announced; the guest looks at the tags only. */
export function intoWindow(lease: Lease, { bytes, sizeBytes, sha256, path, distrust }: { bytes: AsyncIterable<Uint8Array>; sizeBytes: number; sha256: string; path: string; distrust: () => void }): Aside {
  const free = queue<number>()
  const taken = new Set<number>()
  const heard = recordsOf(placeSize)
  /** In their order, each as soon as it lies in its place: meanwhile the next is filled. */
  const records = queue<Promise<Buffer>>()
  let over = false
  lease.places.forEach(free.push)
  const told = async ({ at, parts, length }: Piece): Promise<Buffer> => {
    taken.add(at)
    const tag = lease.tag()
    parts.forEach(tag.add)
    await lease.write(parts, at).catch((fault: Error) => unusable({ fault, path, distrust }))
    return record(at, length, tag.bytes())
  }
  const tell = (piece: Piece) => {
    const promise = told(piece)
    promise.catch(() => undefined) // Whoever reads the records hears of it.
    records.push(promise)
  }
  const fill = async () => {
    const places = free[Symbol.asyncIterator]()
    const hash = hasher()
    let left = sizeBytes
    let piece: Piece | undefined
    for await (const given of bytes) {
      hash.update(given)
      left -= given.length
      for (let from = 0; from < given.length; ) {
        piece ??= { at: (await places.next()).value as number, parts: [], length: 0 }
        if (over) return
        const part = given.subarray(from, from + placeBytes - piece.length)
        piece.parts.push(part)
        piece.length += part.length
        from += part.length
        if (piece.length < placeBytes && left > 0) continue
        tell(piece)
        piece = undefined
      }
    }
    if (piece) tell(piece)
    if (left === 0) records.push(Promise.resolve(record(hash.hex() === sha256 ? verdicts.whole : verdicts.wrong, 0)))
  }
  async function* stdin() {
    const filling = fill().finally(records.end)
    filling.catch(() => undefined)
    yield* records
    await filling
  }
  return {
    stdin: stdin(),
    output(said) {
      for (const one of heard(said)) {
        const at = one.readUInt32LE()
        if (!taken.delete(at)) fail('failed', 'the guest gave back a place that was not its own', { subject: path })
        free.push(at)
      }
    },
    done: async () => undefined,
    fault: undefined,
    stop() {
      over = true
      free.end()
      records.end()
    },
  }
}

/** Bytes on their way out, and the sha256 of all when they have come. */
export function outOfWindow(lease: Lease, { output, path, distrust }: { output: (bytes: Uint8Array) => void | Promise<void>; path: string; distrust: () => void }): Aside & { sha256(): string } {
  const free = queue<Uint8Array>()
  const given = new Set(lease.places)
  const heard = recordsOf(pieceSize)
  const hash = hasher()
  let delivered = Promise.resolve()
  let fault: unknown
  let over = false
  for (const at of lease.places) free.push(place(at))
  const taken = async (at: number, length: number, tag: Buffer): Promise<Buffer> => {
    const bytes = await lease.read(at, length).catch((thrown: Error) => unusable({ fault: thrown, path, distrust }))
    const own = lease.tag()
    own.add(bytes)
    if (!own.bytes().equals(tag)) {
      distrust()
      fail('failed', 'bytes came from the guest that are not those it sent', { subject: path, remedy: 'fetch it again' })
    }
    return bytes
  }
  const deliver = async (at: number, arriving: Promise<Buffer>, before: Promise<void>) => {
    await before
    const bytes = await arriving
    if (over) return
    hash.update(bytes)
    await output(bytes)
    // Not sooner: however slow the reader is, no more is under way than there are places.
    given.add(at)
    free.push(place(at))
  }
  return {
    stdin: free,
    output(said) {
      for (const one of heard(said)) {
        const [at, length] = [one.readUInt32LE(), one.readUInt32LE(placeSize)]
        if (!given.delete(at) || length === 0 || length > placeBytes) fail('failed', 'the guest told of a piece that cannot be', { subject: path })
        // It is read while those before it are passed on.
        const arriving = taken(at, length, Buffer.from(one.subarray(placeSize + 4)))
        arriving.catch(() => undefined)
        delivered = deliver(at, arriving, delivered)
        // Without a place the guest ends.
        delivered.catch((thrown: unknown) => {
          fault ??= thrown
          free.end()
        })
      }
    },
    done: () => delivered,
    get fault() {
      return fault
    },
    stop() {
      over = true
      free.end()
    },
    sha256: hash.hex,
  }
}

/** The host's own side of it: its disk is full, or cannot be read. */
function unusable({ fault, path, distrust }: { fault: Error; path: string; distrust: () => void }): never {
  distrust()
  return fail('unavailable', `the disk by which large files go cannot be used on this host: ${fault.message}`, { subject: path, remedy: 'do it again: it goes another way then', cause: fault })
}

function place(at: number): Buffer {
  const bytes = Buffer.allocUnsafe(placeSize)
  bytes.writeUInt32LE(at)
  return bytes
}

function record(at: number, length: number, tag: Buffer = Buffer.alloc(tagBytes)): Buffer {
  const head = Buffer.allocUnsafe(pieceSize)
  head.writeUInt32LE(at)
  head.writeUInt32LE(length, placeSize)
  tag.copy(head, placeSize + 4)
  return head
}

/** Records of one size in what the guest says, however that is cut. */
function recordsOf(size: number): (said: Uint8Array) => Buffer[] {
  let held = Buffer.alloc(0)
  return (said) => {
    held = Buffer.concat([held, said])
    const records: Buffer[] = []
    for (; held.length >= size; held = held.subarray(size)) records.push(held.subarray(0, size))
    return records
  }
}
