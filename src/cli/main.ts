import { type Given, parseArguments, parseCommand, type Wrong } from '../base/arguments.ts'
import { nearest } from '../base/nearest.ts'
import { asTtError, errorCodes, problemOf } from '../model/errors.ts'
import type { Cloud } from '../model/cloud.ts'
import type { ClientSettings } from './client-settings.ts'
import { type Entry, entries, globalFlags, program, serverWords } from './commands.ts'
import { type Invocation, invocation } from './invocation.ts'
import type { Terminal } from './terminal.ts'

/** Asked by completion scripts only. It reads the table of commands, so it cannot stand in it. */
const completing: Entry = { words: '__complete', summary: 'Complete a line', load: async () => (await import('./complete.ts')).complete }

/** The whole command line, as a function of its terminal. Resolves with the exit status and never rejects. */
export async function main(terminal: Terminal): Promise<number> {
  try {
    return await dispatch(terminal)
  } catch (thrown) {
    const error = asTtError(thrown)
    const problem = problemOf(error)
    if (problem.code === 'cancelled' && terminal.signal.aborted && problem.remedy === undefined) problem.message = 'interrupted'
    const { refusalJson, refusalText } = await import('./refusal.ts')
    await terminal.err.write(wantsJson(terminal) ? refusalJson(problem) : refusalText(problem, terminal.err.screen()))
    return errorCodes[error.code].exit
  }
}

async function dispatch(terminal: Terminal): Promise<number> {
  const lead = readLead(terminal.args)
  if (lead.wrong) return misused(terminal, lead.wrong, lead.words)
  const { words, entry, flags, args } = lead
  if (flags.some((given) => given.has('version'))) return said(terminal, `${program} ${await terminal.version()}\n`)
  if (!entry) return said(terminal, (await import('./help.ts')).groupHelp(words))
  if (flags.some((given) => given.has('help'))) args.unshift('--help')
  // Before its words or after, `tt config` means by it the name to keep a token under.
  if (entry.words === 'config') args.unshift(...flags.flatMap((given) => given.all('client-id')).map((name) => `--client-id=${name}`))
  const action = await entry.load()
  const parsed = parseCommand({ ...entry, ...action }, args, globalFlags)
  if (parsed.wrong) return misused(terminal, parsed.wrong, entry.words)
  const { given } = parsed
  if (given.has('help')) return said(terminal, (await import('./help.ts')).commandHelpOf({ ...entry, ...action }))
  if (given.has('version')) return said(terminal, `${program} ${await terminal.version()}\n`)
  const call = begin(terminal, [given, ...flags], { mending: entry.words === 'config' })
  await action.run(call)
  return call.status()
}

interface Lead {
  words: string
  entry?: Entry
  flags: Given[]
  args: string[]
  wrong?: Wrong
}

/** Finds the command: its words, with flags that every command knows before and between them. */
function readLead(all: readonly string[]): Lead {
  const flags: Given[] = []
  let args = [...all]
  let words = ''
  for (;;) {
    const parsed = parseArguments(args, globalFlags, { leading: true })
    if (parsed.wrong) return { words, flags, args, wrong: parsed.wrong }
    flags.push(parsed.given)
    const [word, ...after] = parsed.given.operands
    if (word === undefined || (word === 'help' && words === '' && after.length === 0)) return { words, flags, args }
    if (word === 'help' && words === '') {
      args = [...after, '--help']
      continue
    }
    const longer = words === '' ? word : `${words} ${word}`
    const entry = longer === completing.words ? completing : entries.find((one) => one.words === longer)
    if (entry) return { words: longer, entry, flags, args: after }
    if (!entries.some((one) => one.words.startsWith(`${longer} `))) return { words, flags, args, wrong: unknownWord(words, word) }
    words = longer
    args = after
  }
}

function unknownWord(words: string, word: string): Wrong {
  if (words === '' && word in serverWords) return { message: `\`${program} ${word}\` is done by ttserver`, hint: `call it by the launcher: ./tt ${word}` }
  const lead = words === '' ? '' : `${words} `
  const next = entries.filter((one) => one.words.startsWith(lead)).map((one) => one.words.slice(lead.length).split(' ')[0] ?? '')
  const meant = nearest(word, new Set(next)) ?? entries.find((one) => one.words.endsWith(` ${word}`))?.words
  return { message: `there is no command \`${program} ${lead}${word.slice(0, 40)}\``, ...(meant === undefined ? {} : { hint: `did you mean \`${program} ${meant.includes(' ') ? '' : lead}${meant}\`?` }) }
}

/** `tt config` puts right what is wrong with the identity, so it begins without. */
function begin(terminal: Terminal, given: readonly [Given, ...Given[]], { mending }: { mending: boolean }): Invocation {
  const has = (flag: string) => given.some((one) => one.has(flag))
  // `tt status --server` is a switch of that command's own: an empty value names no server.
  const chosen = (flag: string) => given.flatMap((one) => one.all(flag)).find((value) => value !== '')
  const known: Record<string, string | undefined> = { server: chosen('server'), ...(mending ? {} : { 'client-id': chosen('client-id') }) }
  const flags: Given = { has: (flag) => known[flag] !== undefined, one: (flag) => known[flag], all: (flag) => [known[flag] ?? []].flat(), operands: [] }
  let settings: Promise<ClientSettings> | undefined
  let cloud: Promise<Cloud> | undefined
  const connect = async () => {
    const { server: at, token, fingerprint } = await read()
    return (await terminal.connect(at, { token: token ?? '', fingerprint })).cloud
  }
  const read = () => (settings ??= import('./client-settings.ts').then(({ clientSettings }) => clientSettings(terminal, flags, { mending })))
  return invocation({
    given: given[0],
    json: has('json'),
    quiet: has('quiet'),
    terminal,
    settings: read,
    cloud: () => (cloud ??= connect()),
  })
}

/** A line that cannot be understood: what is wrong and how the command is called. */
async function misused(terminal: Terminal, { message, hint }: Wrong, words: string): Promise<number> {
  const status = errorCodes.invalid.exit
  const [{ refusalJson, refusalText }, { usageOf }] = await Promise.all([import('./refusal.ts'), import('./help.ts')])
  if (wantsJson(terminal)) {
    await terminal.err.write(refusalJson({ code: 'invalid', message, ...(hint === undefined ? {} : { remedy: hint }) }))
    return status
  }
  await terminal.err.write(refusalText({ code: 'invalid', message, remedy: hint }, terminal.err.screen()) + (await usageOf(words)))
  return status
}

async function said({ out }: Terminal, text: string): Promise<number> {
  await out.write(text)
  return 0
}

/** Also where the line itself could not be understood. */
const wantsJson = ({ args }: Terminal) => args.slice(0, args.includes('--') ? args.indexOf('--') : undefined).includes('--json')
