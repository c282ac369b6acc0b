import { fail } from '../../model/errors.ts'
import { tildeEscape } from '../escape.ts'
import type { Action } from '../invocation.ts'
import { viaOf } from '../via-asked.ts'
import { isOneAtMost, oneOrMore, selectionFlags, selectionOf, viaFlags } from '../vm-selection.ts'
import { atTerminal, keyboardOf, loginShell } from '../vm-terminal.ts'

/** `tt env shell NAME`. */
export const shell: Action = {
  operands: [{ name: 'NAME[.INDEX]', of: 'vm' }],
  rest: 'PROGRAM ARGUMENT',
  flags: [...selectionFlags, ...viaFlags],
  details: [
    "The shell is that of root, as after a login, in a terminal of its own that has this one's size and follows it. All keys go to the guest, Ctrl-C too; ~. at the beginning of a line leaves, and ends what runs there; ~~ there is one ~. The exit status is that of the shell.",
    'It needs a terminal here, and a way into the guest that has them: our agent or ssh. A guest with neither has its serial line, `tt env console`. A session whose connection breaks is over: what ran in it is ended with it.',
  ],
  examples: [
    { line: 'tt env shell demo.0', about: 'a shell in demo.0' },
    { line: 'tt env shell demo -m 0 -- vi /etc/hosts', about: 'another program at a terminal' },
  ],
  async run(invocation) {
    const { given, json, terminal, call } = invocation
    if (json) fail('invalid', 'a shell is for people: it has no --json', { remedy: 'see `tt env run --json`' })
    const vms = selectionOf(given)
    const via = await viaOf(given)
    const argv = given.rest
    if (argv && (argv.length === 0 || argv[0] === '')) fail('invalid', 'no program follows --')
    using keyboard = await keyboardOf(terminal, 'run single commands: `tt env run`')
    const cloud = await invocation.cloud()
    const [name = ''] = vms.envs
    if (!isOneAtMost(vms) && (await oneOrMore(cloud, vms, call)) > 1) fail('invalid', `a shell is one VM's, and ${name} has several`, { subject: `env/${name}`, remedy: `name one: \`tt env shell ${name}.0\`; or all in turn: \`tt env run ${name} --interactive\`` })
    await invocation.note(`${tildeEscape().hint}\r`)
    const { left, status } = await atTerminal(invocation, { cloud, keyboard, request: { type: 'exec', vms, command: argv ? { argv } : loginShell, stdin: true, ...(via === undefined ? {} : { via }) } })
    if (left) await invocation.note('')
    invocation.raise(status)
  },
}
