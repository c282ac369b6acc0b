import { fail } from '../../../model/errors.ts'
import type { Command } from '../../../model/session.ts'
import { execField, requestLimitBytes, windowBytes } from './protocol.ts'

/** The body of an EXEC: how much output may come unanswered, then the fields of the command. */
export function requestOf(command: Command, options: { env?: Record<string, string>; cwd?: string }): Buffer {
  const fields = fieldsOf(command, options)
  let size = 8
  const lengths = fields.map(([, text]) => {
    const length = Buffer.byteLength(text)
    size += length + 6
    return length
  })
  if (size > requestLimitBytes) fail('too_large', `the command has ${size} bytes, and ${requestLimitBytes} are the most`, { remedy: 'give long input by stdin' })
  const body = Buffer.allocUnsafe(size)
  body.writeUInt32LE(windowBytes, 0)
  body.writeUInt32LE(windowBytes, 4)
  let at = 8
  fields.forEach(([tag, text], index) => {
    const length = lengths[index] as number
    body[at] = tag
    body.writeUInt32LE(length, at + 1)
    body.write(text, at + 5)
    body[at + 5 + length] = 0
    at += length + 6
  })
  return body
}

function fieldsOf(command: Command, { env, cwd }: { env?: Record<string, string>; cwd?: string }): [tag: number, text: string][] {
  const fields: [number, string][] = []
  const add = (tag: number, what: string, text: string) => {
    if (text.includes('\0')) fail('invalid', `${what} holds a zero byte, which no program can be given`)
    fields.push([tag, text])
  }
  if (command.argv) {
    if (command.argv.length === 0 || command.argv[0] === '') fail('invalid', 'the command names no program')
    for (const arg of command.argv) add(execField.arg, 'an argument', arg)
  } else {
    add(execField.shell, 'the shell text', command.shell ?? command.script)
  }
  for (const [name, value] of Object.entries(env ?? {})) {
    if (name === '' || name.includes('=')) fail('invalid', `'${name}' cannot be the name of a variable`)
    add(execField.env, `the variable ${name}`, `${name}=${value}`)
  }
  if (cwd !== undefined) add(execField.cwd, 'the directory', cwd)
  return fields
}
