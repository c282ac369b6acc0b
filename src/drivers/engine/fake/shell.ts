import { type Outcome, ownPid, type Process } from './process.ts'
import { complain, type Program, programs } from './programs.ts'
import { commandsOf, type ScriptCommand, type Stream, SyntaxFault, type Word } from './script.ts'

/** Runs a script; what is not understood ends it with 2 before anything of it ran. */
export async function runScript(script: string, self: Process): Promise<Outcome> {
  let commands: ScriptCommand[]
  try {
    commands = commandsOf(script)
  } catch (fault) {
    if (!(fault instanceof SyntaxFault)) throw fault
    await self.say('stderr', `sh: syntax error: ${fault.message}\n`)
    return { code: 2 }
  }
  let last = 0
  for (const command of commands) {
    if ((command.after === 'success' && last !== 0) || (command.after === 'failure' && last === 0)) continue
    const argv = command.words.flatMap((word) => fieldsOf(word, (name) => valueOf(name, self, last)))
    const outcome = await runProgram(argv, self, command.redirects)
    if ('signal' in outcome) return outcome
    if (outcome.ends) return { code: outcome.code }
    last = outcome.code
  }
  return { code: last }
}

/** The program of this name; the shell is one. */
export function programOf(name: string): Program | undefined {
  if (name === 'sh') return sh
  return Object.hasOwn(programs, name) ? programs[name] : undefined
}

const sh: Program = async ([flag, script], self) => {
  if (flag !== '-c' || script === undefined) return complain(self, 'sh: only «sh -c TEXT» is known to a fake guest')
  return runScript(script, self)
}

async function runProgram(argv: string[], self: Process, redirects: ScriptCommand['redirects']): Promise<Outcome> {
  const [name, ...args] = argv
  if (name === undefined) return { code: 0 }
  const target: Record<Stream, Stream | 'nowhere'> = { stdout: 'stdout', stderr: 'stderr' }
  for (const { from, to } of redirects) target[from] = to === 'nowhere' ? to : target[to]
  const say: Process['say'] = async (stream, what) => {
    const to = target[stream]
    if (to !== 'nowhere') await self.say(to, what)
  }
  const program = programOf(name)
  if (program) return program(args, { ...self, say })
  await say('stderr', `sh: ${name.slice(0, 200)}: not found\n`)
  return { code: 127 }
}

const valueOf = (name: string, { env }: Process, last: number): string => (name === '?' ? String(last) : name === '$' ? String(ownPid) : (env.get(name) ?? ''))

/** A word as the arguments it becomes: values that are not quoted are split at blanks, and nothing at all is no argument. */
function fieldsOf(word: Word, valueOf: (name: string) => string): string[] {
  const fields: string[] = []
  let current: string | undefined
  for (const piece of word) {
    const text = 'text' in piece ? piece.text : valueOf(piece.variable)
    if (piece.quoted || 'text' in piece) {
      current = (current ?? '') + text
      continue
    }
    const [first = '', ...others] = text.split(/[ \t\n]+/)
    if (first !== '' || current !== undefined) current = (current ?? '') + first
    for (const other of others) {
      if (current !== undefined) fields.push(current)
      current = other === '' ? undefined : other
    }
  }
  return current === undefined ? fields : [...fields, current]
}
