import { paced } from '../../../base/paced.ts'
import type { World } from '../../../base/world.ts'
import type { Call } from '../../../model/call.ts'
import { fail } from '../../../model/errors.ts'
import type { FileEntry } from '../../../model/session.ts'
import type { GuestFiles } from '../channel.ts'
import { within } from '../within.ts'
import type { Converse } from './exchange.ts'
import { execution } from './execution.ts'
import { entryReader } from './files-entry.ts'
import { claimOf, type FilesOrder, operations, orderOf } from './files-order.ts'
import { filesRefusalOf } from './files-refusal.ts'
import { type Aside, intoWindow, leastBytes, outOfWindow } from './files-window.ts'
import { ask } from './protocol.ts'
import type { Lease, Window } from './window.ts'

/** No answer is longer: an entry with its name and its target. */
const answerLimitBytes = 8192

/** Entries that wait for whoever reads a list, before the guest is held back. */
const entriesAhead = 1000

interface Streams {
  stdin?: AsyncIterable<Uint8Array>
  output?(bytes: Uint8Array): void | Promise<void>
  /** The guest's process for it has ended; by this reason, if it refused. */
  ended?(reason?: string): void
}

/** The files of the guest that is spoken with: each operation is a process there, which has input, output, credit and an end as a command has. */
export function guestFiles(exchange: Converse, { world, window }: { world: World; window: Window }): GuestFiles {
  /** What the guest answers when it is done. */
  const perform = async (order: FilesOrder, { stdin, output, ended }: Streams, call?: Call): Promise<Buffer> => {
    const { path } = order
    const said: Uint8Array[] = []
    let saidBytes = 0
    const hear = (stream: 'stdout' | 'stderr', bytes: Uint8Array) => {
      if (stream === 'stdout') return output ? output(bytes) : fail('failed', 'the guest sent bytes that nobody asked for', { subject: path })
      saidBytes += bytes.length
      if (saidBytes > answerLimitBytes) fail('failed', 'the guest answered more than it may', { subject: path })
      said.push(Uint8Array.from(bytes))
    }
    const what = { type: ask.file, body: orderOf(order), command: { argv: ['(an operation on files)'] }, options: { stdin, output: hear } }
    const exit = await exchange((wire) => execution(what, { wire, world }, call), call)
    ended?.(exit.code === 1 ? Buffer.concat(said).toString('latin1', 0, 64) : undefined)
    if (exit.code === 0) return Buffer.concat(said)
    if (exit.code === 1) throw filesRefusalOf(Buffer.concat(said), path)
    return fail('failed', `the agent's process in the guest ended with ${exit.signal ?? exit.code} before it was done`, { subject: path })
  }

  /** Its bytes go by the window; by the port goes only what is said of them. */
  const performBeside = async (order: FilesOrder, { lease, aside }: { lease: Lease; aside: Aside }, call?: Call): Promise<void> => {
    const ended = (reason = '') => {
      lease.settled()
      if (reason.endsWith(' window')) window.distrust()
    }
    try {
      await perform({ ...order, key: lease.key }, { stdin: aside.stdin, output: aside.output, ended }, call)
      await within(aside.done(), call?.signal)
    } catch (thrown) {
      // What a guest gave before it refused the rest is passed on, and nothing after that.
      if (!call?.signal?.aborted) await within(aside.done(), call?.signal).catch(() => undefined)
      throw aside.fault ?? thrown
    } finally {
      aside.stop()
    }
  }

  return {
    async stat(path, call) {
      const answer = await perform({ operation: operations.stat, path }, {}, call)
      if (answer.length === 0) return undefined
      const reader = entryReader(path)
      const [entry, ...more] = reader.take(answer)
      return entry && more.length === 0 && !reader.open && entry.path === '' ? entry : foreign(path)
    },
    async *list(path, call) {
      const reader = entryReader(path)
      const left = new AbortController()
      const signal = call?.signal ? AbortSignal.any([call.signal, left.signal]) : left.signal
      const line = paced<FileEntry>({ sizeOf: () => 1, limitBytes: entriesAhead, onCancel: () => left.abort() })
      const output = (bytes: Uint8Array) => {
        let full: Promise<void> | undefined
        for (const entry of reader.take(bytes)) full = line.send(entry.path === '' ? foreign(path) : entry)
        return full
      }
      let fault: { thrown: unknown } | undefined
      const work = perform({ operation: operations.list, path }, { output }, { ...call, signal })
        .catch((thrown: unknown) => (fault = { thrown }))
        .then(line.end)
      try {
        yield* line.output
      } finally {
        left.abort()
        await work
      }
      if (fault) throw fault.thrown
      if (reader.open) foreign(path)
    },
    async digest(path, { bytes } = {}, call) {
      const answer = await perform({ operation: operations.digest, path, sizeBytes: bytes ?? 0, part: bytes !== undefined }, {}, call)
      if (answer.length === 0 && bytes !== undefined) return undefined
      return digestOf(answer, path)
    },
    async read(path, { offset = 0, output, sizeBytes = 0 }, call) {
      await using lease = offset === 0 && sizeBytes >= leastBytes ? await window.lease() : undefined
      if (lease) {
        const aside = outOfWindow(lease, { output, path, distrust: window.distrust })
        await performBeside({ operation: operations.read, path }, { lease, aside }, call)
        return { sha256: aside.sha256() }
      }
      return { sha256: digestOf(await perform({ operation: operations.read, path, offset }, { output }, call), path) }
    },
    async offer(path, file, call) {
      const answer = await perform({ operation: operations.offer, path, ...claimOf(file) }, {}, call)
      const there = answer.length === 8 ? Number(answer.readBigUInt64LE()) : foreign(path)
      return there <= file.sizeBytes ? there : foreign(path)
    },
    async write(path, { offset, ...file }, bytes, call) {
      if (offset > file.sizeBytes) fail('invalid', `the offset ${offset} is beyond the end at ${file.sizeBytes}`, { subject: path })
      const order = { operation: operations.write, path, offset, ...claimOf(file) }
      await using lease = offset === 0 && file.sizeBytes >= leastBytes ? await window.lease() : undefined
      if (lease) await performBeside(order, { lease, aside: intoWindow(lease, { ...file, bytes, path, distrust: window.distrust }) }, call)
      else await perform(order, { stdin: bytes }, call)
    },
    async makeDirectory(path, mode, call) {
      await perform({ operation: operations.directory, path, mode }, {}, call)
    },
    async makeLink(path, { target, overwrite }, call) {
      await perform({ operation: operations.link, path, target, overwrite }, {}, call)
    },
  }
}

function digestOf(answer: Buffer, path: string): string {
  return answer.length === 32 ? answer.toString('hex') : foreign(path)
}

const foreign = (path: string): never => fail('failed', 'the guest answered what cannot be', { subject: path })
