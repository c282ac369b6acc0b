import { fail } from '../../../model/errors.ts'
import type { Command } from '../../../model/session.ts'
import type { ExecOptions } from '../channel.ts'
import { interpreterOf } from '../../../model/script.ts'
import { fieldsFrom } from './fields.ts'
import { execField, requestLimitBytes, windowBytes } from './protocol.ts'

export type RequestOptions = Pick<ExecOptions, 'env' | 'cwd' | 'tty'>

/** The body of an EXEC: how much output may come unanswered, then the fields of the command. */
export function requestOf(command: Command, options: RequestOptions): Buffer {
  const fields = fieldsOf(command, options)
  const body = fieldsFrom(8, fields)
  if (body.length > requestLimitBytes) fail('too_large', `the command has ${body.length} bytes, and ${requestLimitBytes} are the most`, { remedy: 'give long input by stdin' })
  body.writeUInt32LE(windowBytes, 0)
  body.writeUInt32LE(windowBytes, 4)
  return body
}

function fieldsOf(command: Command, { env, cwd, tty }: RequestOptions): [tag: number, text: string][] {
  const fields: [number, string][] = []
  const add = (tag: number, what: string, text: string) => {
    if (text.includes('\0')) fail('invalid', `${what} holds a zero byte, which no program can be given`)
    fields.push([tag, text])
  }
  if (command.argv) {
    if (command.argv.length === 0 || command.argv[0] === '') fail('invalid', 'the command names no program')
    for (const arg of command.argv) add(execField.arg, 'an argument', arg)
  } else if (command.shell !== undefined) {
    add(execField.shell, 'the shell text', command.shell)
  } else {
    interpreterOf(command.script)
    add(execField.script, 'the script', command.script)
    for (const arg of command.args ?? []) add(execField.arg, 'an argument', arg)
  }
  if (tty) add(execField.terminal, 'the terminal', `${sizeOf(tty.columns)} ${sizeOf(tty.rows)}`)
  const variables = tty ? { TERM: tty.term ?? 'xterm-256color', ...env } : (env ?? {})
  for (const [name, value] of Object.entries(variables)) {
    if (name === '' || name.includes('=')) fail('invalid', `'${name}' cannot be the name of a variable`)
    add(execField.env, `the variable ${name}`, `${name}=${value}`)
  }
  if (cwd !== undefined) add(execField.cwd, 'the directory', cwd)
  return fields
}

/** A side of a terminal, in characters. */
export function sizeOf(characters: number): number {
  if (!Number.isInteger(characters) || characters < 1 || characters > 0xffff) fail('invalid', `a terminal cannot be ${characters} characters wide or high`)
  return characters
}
