import { fail } from '../../model/errors.ts'
import { shown } from '../../model/names.ts'
import { attached } from '../attached.ts'
import { bracketEscape } from '../escape.ts'
import type { Action } from '../invocation.ts'
import { selectionFlags, selectionOf } from '../vm-selection.ts'
import { keyboardOf } from '../vm-terminal.ts'

/** `tt env console NAME`. */
export const console: Action = {
  operands: [{ name: 'NAME[.INDEX]', of: 'vm' }],
  flags: [...selectionFlags, { long: 'scrollback', value: 'BYTES', about: 'So much of what was said before comes first: 64k, 1m, or 0 for nothing', default: '64k' }],
  details: ['Keys go to the guest as they are, Ctrl-C too. Ctrl-] leaves. Several may look at one line and type at the same time. Of a VM that is stopped it shows what was said, and ends. It needs a terminal; to only look, also without one, use `tt env logs --follow`; to send bytes from a program, use the API.'],
  examples: [{ line: 'tt env console demo.0', about: 'the serial line of demo.0' }],
  async run(invocation) {
    const { given, terminal, call } = invocation
    const vms = selectionOf(given)
    const scrollbackBytes = bytesOf(given.one('scrollback') ?? '64k')
    const cloud = await invocation.cloud()
    using keyboard = await keyboardOf(terminal, 'see `tt env logs`, or `tt env run --stdin`')
    const escape = bracketEscape()
    const session = await cloud.open({ type: 'console', vms, scrollbackBytes }, call)
    await invocation.note(`${escape.hint}\r`)
    const { left, status } = await attached(invocation, { session, keyboard, escape })
    if (left) await invocation.note('')
    invocation.raise(status)
  },
}

/** `65536`, `64k` or `1m`. */
function bytesOf(text: string): number {
  const [, digits, unit = ''] = /^(\d{1,10})([km]?)$/i.exec(text) ?? []
  if (digits === undefined) fail('invalid', `--scrollback is ${shown(text)}, allowed is a number of bytes, such as 4096, 64k or 1m`)
  return Number(digits) * (({ k: 1024, m: 1_048_576 } as Record<string, number>)[unit.toLowerCase()] ?? 1)
}
