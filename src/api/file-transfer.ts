import { hasher } from '../base/sha256.ts'
import { errorOf, fail } from '../model/errors.ts'
import type { FileEntry, Session, SessionFrame, SessionInput } from '../model/session.ts'
import { pieces as piecesOf } from './flow.ts'
import { framesOf } from './session-frames.ts'

/** A single file in or out of a single VM, for those who have nothing but a request and its body. */

/** Sends the bytes into the VM of a `push` session; resolves when the file has its name there. */
export async function pushedFile(session: Session, { entry, bytes, signal }: { entry: FileEntry; bytes: AsyncIterable<Uint8Array>; signal?: AbortSignal }): Promise<void> {
  const writer = session.input.getWriter()
  let over = false
  const say = async (input: SessionInput) => {
    if (!over) await writer.write(input).catch(() => (over = true))
  }
  const ended = outcome(framesOf(session, signal)).finally(() => (over = true))
  ended.catch(() => undefined) // It is awaited below, when the writing has stopped.
  try {
    await say({ type: 'entry', entry })
    await say({ type: 'from', offset: 0 })
    for await (const some of bytes) {
      for (const data of piecesOf(some)) await say({ type: 'stdin', data })
      if (over) break
    }
    await say({ type: 'eof' })
    await ended
  } finally {
    await session[Symbol.asyncDispose]()
  }
}

async function outcome(frames: AsyncIterable<SessionFrame>): Promise<void> {
  for await (const frame of frames) {
    if (frame.type === 'problem') throw errorOf(frame.problem)
    if (frame.type === 'exit') return
  }
  fail('unavailable', 'the session ended before the file was there', { remedy: 'send it again: it goes on from where it was' })
}

export interface FileBytes {
  entry: FileEntry
  /** Breaks off, with the last bytes not sent, if they are not what the guest has read: what arrives whole is right. */
  pieces: AsyncIterable<Uint8Array>
}

/** The file of the VM of a `get` session, once it is known that there is one. */
export async function fetchedFile(session: Session, signal?: AbortSignal): Promise<FileBytes> {
  const frames = framesOf(session, signal)
  for (let step = await frames.next(); !step.done; step = await frames.next()) {
    const frame = step.value
    const isOver = frame.type === 'problem' || (frame.type === 'entry' && frame.entry.type !== 'file')
    if (isOver) await frames.return(undefined)
    if (frame.type === 'problem') throw errorOf(frame.problem)
    if (frame.type !== 'entry') continue
    if (frame.entry.type !== 'file') fail('invalid', 'that is no file but a directory', { remedy: 'fetch directories by `tt env get`' })
    return { entry: frame.entry, pieces: verified(frames, frame.entry.sizeBytes ?? 0) }
  }
  signal?.throwIfAborted()
  return fail('unavailable', 'the session ended before it began')
}

/** Files of a size have as many bytes as was said; those without, as in /proc, as many as there are. */
async function* verified(frames: AsyncGenerator<SessionFrame>, sizeBytes: number): AsyncGenerator<Uint8Array> {
  const hash = hasher()
  let held: Uint8Array | undefined
  let count = 0
  try {
    for (let step = await frames.next(); !step.done; step = await frames.next()) {
      const frame = step.value
      if (frame.type === 'problem') throw errorOf(frame.problem)
      if (frame.type === 'stdout') {
        hash.update(frame.data)
        count += frame.data.length
        if (sizeBytes > 0 && count > sizeBytes) fail('failed', 'the file grows while it is read')
        if (held) yield held
        held = frame.data
      }
      if (frame.type !== 'entry-end') continue
      if (hash.hex() !== frame.sha256 || (sizeBytes > 0 && count < sizeBytes)) fail('failed', 'what came is not what the guest has read')
      if (held) yield held
      return
    }
  } finally {
    await frames.return(undefined)
  }
}
