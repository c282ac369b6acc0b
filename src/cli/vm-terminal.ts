import type { Call } from '../model/call.ts'
import type { Cloud } from '../model/cloud.ts'
import { fail } from '../model/errors.ts'
import { vmName } from '../model/names.ts'
import type { Command, SessionRequest, VmSelection } from '../model/session.ts'
import { attached } from './attached.ts'
import { tildeEscape } from './escape.ts'
import type { Invocation } from './invocation.ts'
import type { Keyboard, Terminal } from './terminal.ts'
import { selected } from './vm-selection.ts'

type Exec = Extract<SessionRequest, { type: 'exec' }>

/** What is run at a terminal unless something is named: root's own shell as a login would start it, or the best there is where nobody says which that is. */
export const loginShell: Command = { shell: 'cd; test "$SHELL" = /bin/sh && test -x /bin/bash && SHELL=/bin/bash; exec "$SHELL" -l' }

/** The keyboard, or why there is none. */
export const keyboardOf = async (terminal: Terminal, remedy: string): Promise<Keyboard> => (await terminal.keyboard()) ?? fail('unsupported', 'it needs a terminal, and standard input is none', { remedy })

/** A command at a terminal of its own in one VM, with this keyboard and screen. */
export async function atTerminal(invocation: Invocation, { cloud, keyboard, request }: { cloud: Cloud; keyboard: Keyboard; request: Omit<Exec, 'tty'> }): Promise<{ left: boolean; status: number }> {
  const { terminal, call } = invocation
  const term = /^[A-Za-z0-9._+-]{1,64}$/.exec(terminal.variables['TERM'] ?? '')?.[0]
  const session = await cloud.open({ ...request, tty: { ...keyboard.size(), ...(term === undefined ? {} : { term }) } }, call)
  return attached(invocation, { session, keyboard, escape: tildeEscape() })
}

/** The same in each VM of the selection, one after the other; leaving one by its keys leaves all. */
export async function eachAtTerminal(invocation: Invocation, request: Omit<Exec, 'tty'>): Promise<void> {
  const { terminal, call, note } = invocation
  const remedy = 'without --interactive it runs in all VMs at the same time'
  const cloud = await invocation.cloud()
  const names = await namesOf(cloud, request.vms, call)
  await note(tildeEscape().hint)
  for (const { env, index, image } of names) {
    await note(`== ${vmName(env, index)} (${image})`)
    using keyboard = await keyboardOf(terminal, remedy)
    try {
      const { left, status } = await atTerminal(invocation, { cloud, keyboard, request: { ...request, vms: { envs: [env], indices: [index] } } })
      if (left) return note('')
      invocation.raise(status)
    } catch (thrown) {
      keyboard[Symbol.dispose]()
      await invocation.report(thrown)
    }
  }
}

async function namesOf(cloud: Cloud, vms: VmSelection, call: Call): Promise<{ env: string; index: number; image: string }[]> {
  const names = await Array.fromAsync(selected(cloud, vms, call))
  return names.length > 0 ? names : fail('not_found', 'no VM matches the selection', { remedy: 'see `tt env show`' })
}
