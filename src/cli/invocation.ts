import type { Command, Given } from '../base/arguments.ts'
import { asTtError, errorCodes, type Problem, problemOf } from '../model/errors.ts'
import type { Call } from '../model/call.ts'
import type { Cloud } from '../model/cloud.ts'
import type { ClientSettings } from './client-settings.ts'
import type { Terminal } from './terminal.ts'

/** What a command does, beside what its words and its summary say. */
export interface Action extends Omit<Command, 'words' | 'summary'> {
  run(invocation: Invocation): Promise<void>
}

/** One call of a command: what was given, and what it needs to answer. */
export interface Invocation {
  given: Given
  json: boolean
  quiet: boolean
  terminal: Terminal
  /** Carries Ctrl-C. */
  call: Call
  /** Read on first use; refuses with `invalid` if the file or the environment is wrong. */
  settings(): Promise<ClientSettings>
  /** The Cloud of the settings, connected on first use. */
  cloud(): Promise<Cloud>
  /** A whole line or several, to standard output. */
  print(text: string): Promise<void>
  printJson(value: unknown): Promise<void>
  /** A line for people on standard error; nothing with -q. */
  note(text: string): Promise<void>
  /** Shows an error and goes on; the program ends with the highest status of all. Ctrl-C is thrown on: it ends everything. */
  report(thrown: unknown): Promise<Problem>
  /** The program ends with at least this status. */
  raise(status: number): void
  status(): number
}

export function invocation(parts: Pick<Invocation, 'given' | 'json' | 'quiet' | 'terminal' | 'settings' | 'cloud'>): Invocation {
  const { terminal, json, quiet } = parts
  const { out, err } = terminal
  let status = 0
  const raise = (to: number) => {
    status = Math.max(status, to)
  }
  return {
    ...parts,
    call: { signal: terminal.signal },
    print: (text) => out.write(text.endsWith('\n') ? text : `${text}\n`),
    printJson: async (value) => out.write(`${(await import('./text.ts')).jsonText(value)}\n`),
    note: async (text) => (quiet ? undefined : err.write(`${text}\n`)),
    async report(thrown) {
      const error = asTtError(thrown)
      if (error.code === 'cancelled' && terminal.signal.aborted) throw error
      const { refusalJson, refusalText, toldHere } = await import('./refusal.ts')
      const problem = toldHere(problemOf(error))
      raise(errorCodes[problem.code].exit)
      await err.write(json ? refusalJson(problem) : refusalText(problem, err.screen()))
      return problem
    },
    raise,
    status: () => status,
  }
}
