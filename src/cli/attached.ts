import type { Session } from '../model/session.ts'
import type { Escape } from './escape.ts'
import type { Invocation } from './invocation.ts'
import { rawPrinter } from './raw-printer.ts'
import type { Keyboard } from './terminal.ts'
import { heard } from './vm-frames.ts'

/**
 * Keyboard and screen on a session with one VM, until it ends or is left by the keys that do so. What was left is not told how it ended; what else there is to say comes when the
 * terminal is as it was, where lines end as they should.
 */
export async function attached(invocation: Invocation, { session, keyboard, escape }: { session: Session; keyboard: Keyboard; escape: Escape }): Promise<{ left: boolean; status: number }> {
  const giveBack = () => {
    typing.stop()
    keyboard[Symbol.dispose]()
  }
  const report: Invocation['report'] = (thrown) => {
    giveBack()
    return invocation.report(thrown)
  }
  // On a line of its own, wherever the guest left the cursor.
  const note: Invocation['note'] = (text) => invocation.note(`\r\n${text}\r`)
  const typing = type(session, keyboard, escape)
  const raw = rawPrinter({ terminal: invocation.terminal, report })
  try {
    const { status } = await heard(typing.until, { ...raw, end: async (vm, end) => (typing.left() ? undefined : raw.end(vm, end)) }, { ...invocation, report, note })
    return { left: typing.left(), status: typing.left() ? 0 : status }
  } finally {
    giveBack()
  }
}

/** Sends keys until those that leave, which end the session for its reader too. */
function type(session: Session, keyboard: Keyboard, escape: Escape): { until: Session; left(): boolean; stop(): void } {
  const writer = session.input.getWriter()
  const reader = session.output.getReader()
  const stop = keyboard.resized((size) => void writer.write({ type: 'size', ...size }).catch(() => undefined))
  let left = false
  const pump = async () => {
    for await (const keys of keyboard.keys) {
      const { data, leaves } = escape.pass(keys)
      if (data.length > 0) await writer.write({ type: 'stdin', data })
      if (leaves) break
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
  return { until: { output, input: session.input, [Symbol.asyncDispose]: () => session[Symbol.asyncDispose]() }, left: () => left, stop }
}
