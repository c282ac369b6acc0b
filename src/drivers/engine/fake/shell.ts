import { inputOf, type Outcome, ownPid, type Process } from './process.ts'
import { complain, type Program, programs } from './programs.ts'
import { commandsOf, type ScriptCommand, type Stream, SyntaxFault, type Word } from './script.ts'
import { type Terminal, typedOf } from './terminal.ts'

/** Runs a script as a process of its own; what is not understood ends it with 2 before anything of it ran. */
export async function runScript(script: string, self: Process): Promise<Outcome> {
  const outcome = await runCommands(script, self)
  return 'signal' in outcome ? outcome : { code: outcome.code }
}

/** The same in the shell that is here, which `exit` then ends; `last` is how what came before ended. */
async function runCommands(script: string, self: Process, last = 0): Promise<Outcome> {
  let commands: ScriptCommand[]
  try {
    commands = commandsOf(script)
  } catch (fault) {
    if (!(fault instanceof SyntaxFault)) throw fault
    await self.say('stderr', `sh: syntax error: ${fault.message}\n`)
    return { code: 2 }
  }
  for (const command of commands) {
    if ((command.after === 'success' && last !== 0) || (command.after === 'failure' && last === 0)) continue
    const argv = command.words.flatMap((word) => fieldsOf(word, (name) => valueOf(name, self, last)))
    const outcome = await runProgram(argv, self, command.redirects)
    if ('signal' in outcome) return outcome
    if (outcome.ends) return outcome
    last = outcome.code
  }
  return { code: last }
}

/** The program of this name; the shell is one. */
export function programOf(name: string): Program | undefined {
  if (name === 'sh') return sh
  if (name === 'exec') return exec
  return Object.hasOwn(programs, name) ? programs[name] : undefined
}

const sh: Program = async ([flag, script, ...positional], self) => {
  if (self.terminal && (flag === undefined || flag === '-l')) return runTyped(self, self.terminal)
  if (flag !== '-c' || script === undefined) return complain(self, 'sh: only «sh -c TEXT» is known to a fake guest')
  return runScript(script, { ...self, positional })
}

/** The shell at a terminal: a prompt, a line, what it says, until `exit` or the end-of-file key. Ctrl-C ends what runs, not the shell. */
async function runTyped(self: Process, terminal: Terminal): Promise<Outcome> {
  let last = 0
  for (;;) {
    const ignored = terminal.heed(() => void terminal.output(Buffer.from(prompt)))
    await self.say('stdout', prompt)
    const line = await terminal.line()
    ignored()
    if (!line) return { code: last }
    const outcome = await runLine(Buffer.from(line).toString(), { ...self, last }, terminal)
    if ('signal' in outcome) return outcome
    if (outcome.ends) return { code: outcome.code }
    last = outcome.code
  }
}

const prompt = '# '

async function runLine(line: string, self: Process & { last: number }, terminal: Terminal): Promise<Outcome> {
  const interrupted = new AbortController()
  const free = terminal.heed(() => interrupted.abort())
  const signal = AbortSignal.any([self.signal, interrupted.signal])
  const input = inputOf(typedOf(terminal))
  const stopped = new Promise<Outcome>((resolve) => interrupted.signal.addEventListener('abort', () => resolve({ code: 130 }), { once: true }))
  const say: Process['say'] = async (stream, what) => {
    signal.throwIfAborted()
    await self.say(stream, what)
  }
  try {
    const work = runCommands(line, { ...self, input, signal, say }, self.last)
    work.catch(() => undefined) // After Ctrl-C nobody asks how it ended.
    return await Promise.race([work, stopped])
  } finally {
    free()
    input.close()
  }
}

/** Another program takes this one's place, and its end is the script's. */
const exec: Program = async ([name = '', ...args], self) => {
  const program = programOf(name)
  if (!program) return { ...(await complain(self, `exec: ${name.slice(0, 200)}: not found`)), code: 127, ends: 'script' }
  const outcome = await program(args, self)
  return 'signal' in outcome ? outcome : { ...outcome, ends: 'script' }
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

function valueOf(name: string, { env, positional = [] }: Process, last: number): string {
  if (name === '?') return String(last)
  if (name === '$') return String(ownPid)
  if (name === '#') return String(Math.max(0, positional.length - 1))
  return (/^\d$/.test(name) ? positional[Number(name)] : env.get(name)) ?? ''
}

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
