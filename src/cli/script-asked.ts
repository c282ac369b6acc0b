import { fail } from '../model/errors.ts'
import { shown } from '../model/names.ts'
import type { Command } from '../model/session.ts'
import type { Terminal } from './terminal.ts'

const longestScript = 8_000_000

/** A local script as a command. Only text can be sent along: a program is a file, and files are pushed. */
export async function scriptOf(terminal: Pick<Terminal, 'readFile' | 'input'>, file: string, { args = [], hasInput }: { args?: string[]; hasInput: boolean }): Promise<Command> {
  if (file === '-' && hasInput) fail('invalid', 'standard input is either the script or its input', { remedy: 'name the script by its file' })
  const script = file === '-' ? await typed(terminal) : readable(terminal, file)
  const name = file === '-' ? 'the script from standard input' : `the script ${shown(file)}`
  if (script.trim() === '') fail('invalid', `${name} is empty`)
  if (script.length > longestScript) fail('too_large', `${name} has more than ${longestScript} characters`, { remedy: 'push it as a file and run that: `tt env push`' })
  // What was no UTF-8 has become U+FFFD on its way here.
  if (script.includes('\0') || script.includes('\uFFFD')) fail('invalid', `${name} is no text in UTF-8`, { remedy: 'push it as a file and run that: `tt env push`' })
  return { script, ...(args.length > 0 ? { args } : {}) }
}

function readable(terminal: Pick<Terminal, 'readFile'>, file: string): string {
  try {
    return terminal.readFile(file)
  } catch (fault) {
    return fail('invalid', `the script cannot be read: ${(fault as Error).message}`)
  }
}

async function typed(terminal: Pick<Terminal, 'input'>): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const piece of terminal.input()) {
    text += decoder.decode(piece, { stream: true })
    if (text.length > longestScript) break
  }
  return text + decoder.decode()
}
