import { readTextNow } from '../base/files.ts'
import { type Given, parseCommand } from '../base/arguments.ts'
import { nearest } from '../base/nearest.ts'
import { wakefulness } from '../base/world.ts'
import { commandHelp, listed } from '../base/usage.ts'
import { asTtError, errorCodes, problemOf } from '../model/errors.ts'
import { leaveWithoutWaiting } from './leaving.ts'
import { serverCommands } from './server-commands.ts'
import { serverSettings } from './server-settings.ts'

const program = 'ttserver'
const globals = [
  { long: 'help', short: 'h', about: 'Shows this' },
  { long: 'version', short: 'V', about: 'Shows the version' },
]

process.umask(0o077)
using _ = wakefulness()
leaveWithoutWaiting()
process.exitCode = await run(process.argv.slice(2)).catch((thrown: unknown) => {
  const { code, message, remedy } = problemOf(thrown)
  const cause = asTtError(thrown).cause
  process.stderr.write(`${program}: ${message} (${code})\n${remedy === undefined ? '' : `  ${remedy}\n`}${code === 'internal' && cause instanceof Error ? `${cause.stack}\n` : ''}`)
  return errorCodes[code].exit
})

async function run(args: string[]): Promise<number> {
  const word = args[0] !== undefined && !args[0].startsWith('-') ? args[0] : ''
  const command = serverCommands.find(({ words }) => words === word)
  if (!command) {
    const meant = nearest(word, serverCommands.map(({ words }) => words))
    return misused(`there is no command \`${program} ${word.slice(0, 40)}\``, meant === undefined || meant === '' ? undefined : `did you mean \`${program} ${meant}\`?`)
  }
  const rest = word === '' ? args : args.slice(1)
  const { given, wrong } = parseCommand(command, rest, globals)
  if (wrong) return misused(wrong.message, wrong.hint)
  if (given.has('version')) return said(`${program} ${(await import('./version.ts')).version}\n`)
  if (given.has('help')) return said(commandHelp(program, command, globals) + (word === '' ? `\n${commandList()}` : ''))
  return act(word, given, rest)
}

async function act(word: string, given: Given, args: string[]): Promise<number> {
  const settings = serverSettings(given, process.env, readTextNow)
  switch (word) {
    case 'up':
      return (await import('./up.ts')).up(settings, { demo: given.has('demo'), args: args.filter((arg) => arg !== '--demo') })
    case 'down':
      return (await import('./down.ts')).down(settings, { destroy: given.has('destroy') })
    case 'doctor':
      return (await import('./doctor.ts')).doctor(settings, { json: given.has('json'), fix: given.has('fix'), leaks: given.has('leaks') })
    case 'settings':
      return said((await import('./shown-settings.ts')).shownSettings(settings, { json: given.has('json') }))
    default:
      return (await import('./foreground.ts')).foreground(settings, () => serverSettings(given, process.env, readTextNow))
  }
}

// A function, because the program runs above before the rest of this file is read.
function commandList(): string {
  return `${listed('Other commands', serverCommands.filter(({ words }) => words !== '').map(({ words, summary }) => [words, summary] as const))}\n`
}

function said(text: string): number {
  process.stdout.write(text)
  return 0
}

function misused(message: string, hint?: string): number {
  process.stderr.write(`${program}: ${message}\n  ${hint ?? `see \`${program} --help\``}\n`)
  return 2
}
