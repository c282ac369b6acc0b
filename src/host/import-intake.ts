import type { Call } from '../model/call.ts'
import { fail } from '../model/errors.ts'
import type { FileEntry, SessionInput } from '../model/session.ts'
import { gigabytes } from './import-conversion.ts'
import type { Part } from './import-parts.ts'

/** The caller's file, as its first word describes it. */
export async function announced(inputs: AsyncIterator<SessionInput>, subject: string): Promise<Required<Pick<FileEntry, 'sizeBytes' | 'sha256'>>> {
  const { done, value } = await inputs.next()
  if (done) return fail('cancelled', 'the caller went away', { subject })
  if (value.type !== 'entry' || value.entry.type !== 'file') return fail('invalid', 'an import begins with the entry of a file', { subject })
  const { sizeBytes, sha256 } = value.entry
  if (sizeBytes === undefined || sha256 === undefined) return fail('invalid', 'the entry of the file names its size and its sha256', { subject })
  return { sizeBytes, sha256 }
}

interface Intake {
  part: Part
  sizeBytes: number
  room(): Promise<number>
  onBytes(done: number, total: number): void
  subject: string
}

/** Takes the bytes that are wanted into the part. The caller may begin before them: what is here already is passed over. */
export async function takenIn(inputs: AsyncIterator<SessionInput>, { part, sizeBytes, room, onBytes, subject }: Intake, call?: Call): Promise<void> {
  let at: number | undefined
  let unchecked = 0
  for (;;) {
    const { done, value } = await inputs.next()
    call?.signal?.throwIfAborted()
    if (done) return fail('cancelled', 'the caller went away', { subject, remedy: 'call it again: it goes on from where it was' })
    if (value.type === 'from') {
      if (at !== undefined || value.offset > part.bytes) fail('invalid', `its bytes cannot begin at ${value.offset}, for there are ${part.bytes}`, { subject })
      at = value.offset
    } else if (value.type === 'stdin') {
      if (at === undefined) return fail('invalid', 'bytes came without word of where they begin', { subject })
      const fresh = value.data.subarray(Math.min(value.data.length, part.bytes - at))
      at += value.data.length
      if (at > sizeBytes) fail('invalid', `more came than the ${sizeBytes} bytes it is said to have`, { subject })
      if (fresh.length === 0) continue
      unchecked += fresh.length
      if (unchecked > roomEveryBytes && (unchecked = 0) === 0 && (await room()) === 0) fail('exhausted', "the host's disk is full", { subject, remedy: "free space where the server's data directory lies, and call it again: it goes on from where it was" })
      await part.file.appendFile(fresh)
      part.bytes += fresh.length
      onBytes(part.bytes, sizeBytes)
    } else if (value.type === 'eof') {
      if (part.bytes < sizeBytes) fail('invalid', `it ended after ${part.bytes} of ${sizeBytes} bytes`, { subject, remedy: 'call it again: it goes on from where it was' })
      return
    }
  }
}

const roomEveryBytes = 64 << 20

/** Refuses beforehand what cannot be taken. */
export async function checkRoom(neededBytes: number, { room, subject }: Pick<Intake, 'room' | 'subject'>): Promise<void> {
  const there = await room()
  if (neededBytes > there) fail('exhausted', `${gigabytes(neededBytes)} are to come, and there is room for ${gigabytes(there)}`, { subject, remedy: "free space where the server's data directory lies" })
}
