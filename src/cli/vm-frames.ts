import { errorCodes, errorOf, fail, type Problem } from '../model/errors.ts'
import type { Exit, Session, SessionFrame } from '../model/session.ts'
import type { Invocation } from './invocation.ts'

/** A VM of a session, as its first frame told. */
export interface Told {
  vm: string
  image: string
  address?: string
}

/** How a VM's part ended. */
export type End = Exit | { problem: Problem }

/** What makes text of a session's frames. Each call may wait for the reader of the text. */
export interface FramePrinter {
  begin(told: Told): Promise<void>
  data(vm: string, stream: 'stdout' | 'stderr', bytes: Uint8Array): Promise<void>
  end(vm: string, end: End): Promise<void>
  /** All have ended. */
  close(): Promise<void>
}

export interface Heard {
  begun: number
  /** The highest of all exit statuses: a guest's own, 128 and the number of the signal that killed it, or that of the error. */
  status: number
}

/** Reads a session to its end into a printer. A VM whose end never came is told as one that was lost. Notes go to `note`. */
export async function heard(session: Session, printer: FramePrinter, options: Pick<Invocation, 'note' | 'report' | 'terminal'>): Promise<Heard> {
  const open = new Map<string, Told>()
  let begun = 0
  let status = 0
  const end = async (vm: string, how: End) => {
    open.delete(vm)
    status = Math.max(status, statusOf(how))
    await printer.end(vm, how)
  }
  for await (const frame of framesOf(session, options.terminal.signal)) {
    if (frame.type === 'begin') {
      begun++
      open.set(frame.vm, frame)
      await printer.begin({ vm: frame.vm, image: frame.image, address: frame.address })
    } else if (frame.type === 'stdout' || frame.type === 'stderr') await printer.data(frame.vm, frame.type, frame.data)
    else if (frame.type === 'exit') await end(frame.vm, frame.signal === undefined ? { code: frame.code } : { signal: frame.signal })
    else if (frame.type === 'problem' && frame.vm !== undefined) await end(frame.vm, { problem: frame.problem })
    else if (frame.type === 'problem') await options.report(errorOf(frame.problem))
    else if (frame.type === 'note') await options.note(frame.text)
  }
  for (const vm of open.keys()) await end(vm, { problem: { code: 'unavailable', message: 'the connection to it ended before the command did', subject: `vm/${vm}` } })
  await printer.close()
  return { begun, status }
}

/** The session's frames until their end; Ctrl-C ends them as an error. The session is disposed then, and when the reader stops early. */
export async function* framesOf(session: Session, signal: AbortSignal): AsyncGenerator<SessionFrame> {
  await using _ = session
  const reader = session.output.getReader()
  const stop = () => {
    reader.cancel().catch(() => undefined) // It broke at the same time.
  }
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  for (let step = await reader.read(); !step.done; step = await reader.read()) yield step.value
  if (signal.aborted) fail('cancelled', 'interrupted')
}

/** What a program says of such an end: https://www.gnu.org/software/bash/manual/html_node/Exit-Status.html */
export function statusOf(end: End): number {
  if ('problem' in end) return errorCodes[end.problem.code]?.exit ?? errorCodes.internal.exit
  if (end.signal !== undefined) return 128 + (signalNumbers[end.signal.replace(/^SIG/, '')] ?? 0)
  return Math.min(255, Math.max(0, end.code))
}

const signalNumbers: Record<string, number> = { HUP: 1, INT: 2, QUIT: 3, ILL: 4, TRAP: 5, ABRT: 6, BUS: 7, FPE: 8, KILL: 9, USR1: 10, SEGV: 11, USR2: 12, PIPE: 13, ALRM: 14, TERM: 15, XCPU: 24, XFSZ: 25, SYS: 31 }
