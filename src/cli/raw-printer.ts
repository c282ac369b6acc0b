import { errorOf, type TtError } from '../model/errors.ts'
import type { Terminal } from './terminal.ts'
import type { FramePrinter } from './vm-frames.ts'

export interface PrinterOptions {
  terminal: Pick<Terminal, 'out' | 'err' | 'sameSink'>
  /** Shows an error on standard error. */
  report: (error: TtError) => Promise<unknown>
  /** Ends mean nothing here, as with logs: a headline does not name them. */
  endless?: boolean
}

/** One VM: its bytes as they come and as they are, so that it can stand in a pipe. */
export function rawPrinter({ terminal, report }: PrinterOptions): FramePrinter {
  return {
    begin: async () => undefined,
    data: (_vm, stream, bytes) => (stream === 'stdout' ? terminal.out : terminal.err).write(bytes),
    async end(vm, end) {
      if ('problem' in end) await report(errorOf({ subject: `vm/${vm}`, ...end.problem }))
      else if (end.signal !== undefined) await report(errorOf({ code: 'failed', message: `the command in ${vm} was killed by ${end.signal}` }))
    },
    close: async () => undefined,
  }
}
