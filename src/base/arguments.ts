import { nearest } from './nearest.ts'

/** A flag of a command, as data: parser, help, completion and reference pages read the same. */
export interface Flag {
  /** Its long name without dashes. */
  long: string
  /** One letter. */
  short?: string
  /** Other spellings of the long name; they work and are named in the reference only. */
  also?: readonly string[]
  /** What its value is, in capitals; a flag without one is a switch. */
  value?: string
  /** The value may be left out and is then the empty text; it is given by `=` only. */
  optional?: true
  /** May be repeated; with `commas` a value is itself a list. */
  list?: 'commas' | 'repeat'
  required?: true
  /** What its value names (`image`), for completion. */
  of?: string
  /** Works, but is not shown. */
  hidden?: true
  about: string
  /** For people; the parser fills in nothing. */
  default?: string
}

/** What a command takes besides flags. */
export interface Operand {
  name: string
  many?: true
  optional?: true
  /** What it names (`env`), for completion. */
  of?: string
}

/** A command as data. */
export interface Command {
  /** The words that call it: `env add`. */
  words: string
  /** One line, no full stop. */
  summary: string
  operands: readonly Operand[]
  /** What follows `--` and is taken as it is, instead of more operands. */
  rest?: string
  flags: readonly Flag[]
  /** Paragraphs. */
  details?: readonly string[]
  examples: readonly { line: string; about: string }[]
}

/** What was given: values by the flag's long name, however it was spelled. A switch has the value `''`. */
export interface Given {
  has(flag: string): boolean
  one(flag: string): string | undefined
  all(flag: string): string[]
  operands: string[]
  rest?: string[]
}

/** A line that cannot be understood: what is wrong and, where it is known, what was meant. */
export interface Wrong {
  message: string
  hint?: string
}

/**
 * Reads the words after a command's own. Flags and operands may be mixed; `--flag value`, `--flag=value`, `-f value`, `-fvalue`, `-f=value` and
 * grouped switches are understood; `--` ends the flags. With `leading`, stops at the first operand and leaves it, and what follows, in `operands`.
 */
export function parseArguments(args: readonly string[], flags: readonly Flag[], options: { leading?: boolean; rest?: boolean } = {}): { given: Given; wrong?: undefined } | { given?: undefined; wrong: Wrong } {
  const values = new Map<string, string[]>()
  const operands: string[] = []
  let rest: string[] | undefined
  const put = (flag: Flag, spelling: string, value: string): Wrong | undefined => {
    const seen = values.get(flag.long) ?? []
    if (seen.length > 0 && !flag.list && flag.value !== undefined) return { message: `${spelling} is given twice` }
    values.set(flag.long, [...seen, ...(flag.list === 'commas' ? value.split(',') : [value])])
    return undefined
  }
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? ''
    if (arg === '--') {
      const after = args.slice(at + 1)
      if (options.rest) rest = after
      else operands.push(...after)
      break
    }
    if (!arg.startsWith('-') || arg === '-') {
      if (options.leading) {
        operands.push(...args.slice(at))
        break
      }
      operands.push(arg)
      continue
    }
    for (const { flag, spelling, value, wrong } of spelled(arg, flags)) {
      if (!flag) return { wrong: wrong ?? unknown(spelling, flags) }
      let text = value
      if (flag.value === undefined && text !== undefined) return { wrong: { message: `${spelling} takes no value` } }
      if (flag.value !== undefined && !flag.optional && text === undefined) {
        text = args[++at]
        if (text === undefined) return { wrong: { message: `${spelling} needs a value, ${flag.value}` } }
        if (isFlag(text, flags)) return { wrong: { message: `${spelling} needs a value, ${flag.value}`, hint: `${spelling}=${text} if that is the value` } }
      }
      const twice = put(flag, spelling, text ?? '')
      if (twice) return { wrong: twice }
    }
  }
  return {
    given: {
      has: (flag) => values.has(flag),
      one: (flag) => values.get(flag)?.[0],
      all: (flag) => values.get(flag) ?? [],
      operands,
      ...(rest === undefined ? {} : { rest }),
    },
  }
}

/** As `parseArguments`, for a whole command: its required flags are there and its operands neither too few nor too many. */
export function parseCommand(command: Command, args: readonly string[], more: readonly Flag[] = []): ReturnType<typeof parseArguments> {
  const own = new Set(command.flags.flatMap(({ long, short }) => [long, short]))
  const inherited = more.filter(({ long }) => !own.has(long)).map((flag) => (own.has(flag.short) ? { ...flag, short: undefined } : flag))
  const parsed = parseArguments(args, [...command.flags, ...inherited], { rest: command.rest !== undefined })
  if (parsed.wrong || parsed.given.has('help') || parsed.given.has('version')) return parsed
  const missing = command.flags.find(({ long, required }) => required && !parsed.given.has(long))
  if (missing) return { wrong: { message: `--${missing.long} is missing: ${missing.about}` } }
  const { operands } = parsed.given
  const least = command.operands.filter(({ optional }) => !optional).length
  if (operands.length < least) return { wrong: { message: `${command.operands[operands.length]?.name ?? 'an operand'} is missing` } }
  if (operands.length > command.operands.length && !command.operands.at(-1)?.many) return { wrong: { message: `${JSON.stringify(operands[command.operands.length])} is one word too many` } }
  return parsed
}

interface Spelled {
  flag?: Flag
  spelling: string
  value?: string
  wrong?: Wrong
}

function spelled(arg: string, flags: readonly Flag[]): Spelled[] {
  if (arg.startsWith('--')) {
    const end = arg.indexOf('=')
    const spelling = end < 0 ? arg : arg.slice(0, end)
    return [{ flag: byLong(spelling.slice(2), flags), spelling, value: end < 0 ? undefined : arg.slice(end + 1) }]
  }
  const found: Spelled[] = []
  for (let at = 1; at < arg.length; at++) {
    const letter = arg[at] ?? ''
    const flag = flags.find(({ short }) => short === letter)
    const after = arg.slice(at + 1)
    const one: Spelled = { flag, spelling: `-${letter}` }
    if (!flag && at === 1) one.spelling = arg
    else if (!flag) one.wrong = { message: `unknown flag -${letter} in ${arg}` }
    found.push(one)
    if (!flag) break
    if (after.startsWith('=')) return [...found.slice(0, -1), { ...one, value: after.slice(1) }]
    if (flag.value !== undefined && after !== '' && !flag.optional) return [...found.slice(0, -1), { ...one, value: after }]
  }
  return found
}

const byLong = (name: string, flags: readonly Flag[]) => flags.find(({ long, also }) => long === name || also?.includes(name))

/** Whether a word is, letter by letter, a flag of this command: then it was hardly meant as the value of another. */
function isFlag(word: string, flags: readonly Flag[]): boolean {
  if (word.startsWith('--')) return byLong(word.slice(2).split('=')[0] ?? '', flags) !== undefined
  return word.length === 2 && word.startsWith('-') && flags.some(({ short }) => short === word[1])
}

function unknown(spelling: string, flags: readonly Flag[]): Wrong {
  const names = flags.filter(({ hidden }) => !hidden).flatMap(({ long, also }) => [long, ...(also ?? [])])
  const meant = nearest(spelling.replace(/^-+/, ''), names)
  return { message: `unknown flag ${spelling}`, ...(meant === undefined ? {} : { hint: `did you mean --${meant}?` }) }
}
