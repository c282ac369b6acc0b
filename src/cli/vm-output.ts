import { errorOf } from '../model/errors.ts'
import type { PrinterOptions } from './raw-printer.ts'
import { type Colour, painted, visible } from './text.ts'
import { type End, type FramePrinter, statusOf, type Told } from './vm-frames.ts'

interface Part extends Told {
  pieces: { stream: 'stdout' | 'stderr'; bytes: Uint8Array }[]
  bytes: number
}

const newline = Uint8Array.of(10)

/** What waits for its VM's end is kept in memory; beyond this the largest part is written out, and goes on later under a headline of its own. */
const keptBytes = 64 * 1024 * 1024

/**
 * Several VMs: what each wrote, unchanged, under a headline and whole, in the order in which they end. Standard output and standard error
 * stay apart; where they lead to different places each has the headline.
 */
export function groupedPrinter({ terminal, report, endless }: PrinterOptions): FramePrinter {
  const { out, err } = terminal
  const parts = new Map<string, Part>()
  const atLineStart = { stdout: true, stderr: true }
  let kept = 0
  const write = async (stream: 'stdout' | 'stderr', bytes: Uint8Array) => {
    if (bytes.length === 0) return
    await (stream === 'stdout' ? out : err).write(bytes)
    const ended = bytes.at(-1) === 10
    atLineStart[stream] = ended
    if (terminal.sameSink()) atLineStart.stdout = atLineStart.stderr = ended
  }
  const headline = async (stream: 'stdout' | 'stderr', part: Part, { words, colour }: { words: string; colour?: Colour }) => {
    const sink = stream === 'stdout' ? out : err
    const about = [part.image, ...(part.address === undefined ? [] : [part.address])].map(visible).join(', ')
    await sink.write(`${atLineStart[stream] ? '' : '\n'}${painted(`== ${visible(part.vm)} (${about})${words === '' ? '' : `: ${words}`}`, colour ?? 'bold', sink.screen())}\n`)
    atLineStart[stream] = true
    if (terminal.sameSink()) atLineStart.stdout = atLineStart.stderr = true
  }
  const headOf = (end: End) => {
    if ('problem' in end) return { words: 'did not end by itself', colour: 'red' as const, always: false }
    if (endless) return { words: '', always: true }
    return { words: endText(end), colour: statusOf(end) === 0 ? ('green' as const) : ('red' as const), always: true }
  }
  const flush = async (part: Part, head: { words: string; colour?: Colour; always: boolean }) => {
    const has = (stream: 'stdout' | 'stderr') => part.pieces.some((piece) => piece.stream === stream)
    const one = terminal.sameSink()
    if (head.always || has('stdout') || (one && has('stderr'))) await headline('stdout', part, head)
    if (!one && has('stderr')) await headline('stderr', part, head)
    for (const { stream, bytes } of part.pieces) await write(stream, bytes)
    kept -= part.bytes
    part.pieces = []
    part.bytes = 0
  }
  return {
    async begin(told) {
      parts.set(told.vm, { ...told, pieces: [], bytes: 0 })
    },
    async data(vm, stream, bytes) {
      const part = parts.get(vm)
      if (!part) return
      part.pieces.push({ stream, bytes })
      part.bytes += bytes.length
      kept += bytes.length
      if (kept <= keptBytes) return
      const largest = [...parts.values()].reduce((most, one) => (one.bytes > most.bytes ? one : most), part)
      await flush(largest, { words: endless ? '' : 'runs on', always: false })
    },
    async end(vm, end) {
      const part = parts.get(vm)
      if (part) await flush(part, headOf(end))
      parts.delete(vm)
      if (!('problem' in end)) return
      if (!atLineStart.stderr) await write('stderr', newline)
      await report(errorOf({ ...end.problem, subject: `vm/${vm}` }))
    },
    close: async () => undefined,
  }
}

/** A line that is longer is broken here, so that one VM cannot fill the memory. */
const longestLineBytes = 256 * 1024

/** Several VMs as they go: each line as soon as it is whole, behind the name of its VM. */
export function prefixedPrinter({ terminal, report }: PrinterOptions): FramePrinter {
  const { out, err } = terminal
  const rests = new Map<string, Uint8Array[]>()
  const encoder = new TextEncoder()
  const writeLines = async (vm: string, stream: 'stdout' | 'stderr', bytes: Uint8Array) => {
    const key = `${stream} ${vm}`
    const text = joined([...(rests.get(key) ?? []), bytes])
    const end = text.lastIndexOf(10) + 1
    const rest = text.subarray(end)
    const broken = rest.length > longestLineBytes
    rests.set(key, rest.length === 0 || broken ? [] : [rest])
    const whole = broken ? joined([text, newline]) : text.subarray(0, end)
    if (whole.length === 0) return
    const prefix = encoder.encode(`${vm}: `)
    const pieces: Uint8Array[] = []
    for (let at = 0; at < whole.length; ) {
      const next = whole.indexOf(10, at) + 1
      pieces.push(prefix, whole.subarray(at, next))
      at = next
    }
    await (stream === 'stdout' ? out : err).write(joined(pieces))
  }
  return {
    begin: async () => undefined,
    data: writeLines,
    async end(vm, end) {
      for (const stream of ['stdout', 'stderr'] as const) if ((rests.get(`${stream} ${vm}`) ?? []).length > 0) await writeLines(vm, stream, newline)
      if ('problem' in end) await report(errorOf({ ...end.problem, subject: `vm/${vm}` }))
      else if (statusOf(end) !== 0) await err.write(`${vm}: ${endText(end)}\n`)
    },
    close: async () => undefined,
  }
}

export const endText = (end: Exclude<End, { problem: unknown }>): string => (end.signal === undefined ? `exit ${end.code}` : `killed by ${end.signal}`)

export function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const [only] = pieces
  if (only && pieces.length === 1) return only
  const all = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const piece of pieces) {
    all.set(piece, at)
    at += piece.length
  }
  return all
}
