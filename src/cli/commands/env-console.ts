import { fail } from '../../model/errors.ts'
import type { Session } from '../../model/session.ts'
import type { Action } from '../invocation.ts'
import { rawPrinter } from '../raw-printer.ts'
import type { Keyboard } from '../terminal.ts'
import { heard } from '../vm-frames.ts'
import { selectionFlags, selectionOf } from '../vm-selection.ts'

/** Ctrl-], as telnet has it. */
const leaveKey = 0x1d

/** `tt env console NAME`. */
export const console: Action = {
  operands: [{ name: 'NAME', of: 'env' }],
  flags: selectionFlags,
  details: ['Keys go to the guest as they are, Ctrl-C too. Ctrl-] leaves. It needs a terminal; to send bytes from a program, use the API.'],
  examples: [{ line: 'tt env console demo -m 0', about: 'the serial line of demo.0' }],
  async run(invocation) {
    const { given, terminal, call, report } = invocation
    const vms = selectionOf(given)
    const cloud = await invocation.cloud()
    using keyboard = terminal.keyboard() ?? fail('unsupported', 'a console needs a terminal, and standard input is none', { remedy: 'see `tt env logs`, or `tt env run --stdin`' })
    const session = await cloud.open({ type: 'console', vms }, call)
    await invocation.note('Ctrl-] leaves.')
    const typing = type(session, keyboard)
    const raw = rawPrinter({ terminal, report })
    // Who left does not hear that the guest goes on.
    const { status } = await heard(typing.until, { ...raw, end: async (vm, end) => (typing.left() ? undefined : raw.end(vm, end)) }, invocation)
    if (!typing.left()) invocation.raise(status)
    await invocation.note('')
  },
}

/** Sends keys until the one that leaves, which ends the session for its reader too. */
function type(session: Session, keyboard: Keyboard): { until: Session; left(): boolean } {
  const writer = session.input.getWriter()
  const reader = session.output.getReader()
  let left = false
  const pump = async () => {
    await writer.write({ type: 'size', ...keyboard.size() })
    for await (const keys of keyboard.keys) {
      const at = keys.indexOf(leaveKey)
      const data = at < 0 ? keys : keys.subarray(0, at)
      if (data.length > 0) await writer.write({ type: 'stdin', data })
      if (at >= 0) break
    }
    left = true
    await reader.cancel()
  }
  pump().catch(() => undefined) // The session has ended; its reader says why.
  const output = new ReadableStream({
    async pull(controller) {
      const step = await reader.read()
      if (step.done) controller.close()
      else controller.enqueue(step.value)
    },
    cancel: (reason) => reader.cancel(reason),
  })
  return { until: { output, input: session.input, [Symbol.asyncDispose]: () => session[Symbol.asyncDispose]() }, left: () => left }
}
