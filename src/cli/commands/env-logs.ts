import { fail } from '../../model/errors.ts'
import type { Action } from '../invocation.ts'
import { rawOrGrouped } from '../raw-or-grouped.ts'
import { rawPrinter } from '../raw-printer.ts'
import { type FramePrinter, heard } from '../vm-frames.ts'
import { prefixedPrinter } from '../vm-output.ts'
import type { Result } from '../vm-results.ts'
import { isOneAtMost, oneOrMore, selectionFlags, selectionOf } from '../vm-selection.ts'

/** `tt env logs NAME…`. */
export const logs: Action = {
  operands: [{ name: 'NAME[.INDEX]', many: true, of: 'vm' }],
  flags: [...selectionFlags, { long: 'follow', short: 'f', about: 'Go on with what comes; of several VMs line by line, behind their names' }],
  details: ['The serial line shows what the kernel and the first programs of a guest say, also where no command can be run, and of a VM that is stopped what it said before; --follow ends there, and where the VM stops. Of one VM its bytes are passed on as they are. With --json there is one document at the end: {"logs":[{"vm","text"}]}, with "textBase64" for what is not UTF-8, and "problem" where there is no log.'],
  examples: [
    { line: 'tt env logs demo.0', about: 'how demo.0 booted' },
    { line: 'tt env logs demo -f', about: 'all of them, as they go' },
  ],
  async run(invocation) {
    const { given, json, terminal, call, report, printJson } = invocation
    const vms = selectionOf(given)
    const follow = given.has('follow')
    if (json && follow) fail('invalid', '--json is one document at the end, and with --follow there is no end', { remedy: 'leave one of them out' })
    const cloud = await invocation.cloud()
    const session = await cloud.open({ type: 'logs', vms, follow }, call)
    if (json) {
      const { resultPrinter } = await import('../vm-results.ts')
      const { status } = await heard(session, resultPrinter((results) => printJson({ logs: results.map(logShape) })), invocation)
      return invocation.raise(status)
    }
    const options = { terminal, report, endless: true }
    const one = isOneAtMost(vms)
    const count = () => oneOrMore(cloud, vms, call)
    const several = follow && !one && (await count()) > 1
    const printer: FramePrinter = several ? prefixedPrinter(options) : one || follow ? rawPrinter(options) : rawOrGrouped({ ...options, count })
    const { status } = await heard(session, printer, invocation)
    invocation.raise(status)
  },
}

const logShape = ({ vm, stdout, stdoutBase64, problem }: Result) => ({ vm, ...(stdoutBase64 === undefined ? { text: stdout ?? '' } : { textBase64: stdoutBase64 }), ...(problem === undefined ? {} : { problem }) })
