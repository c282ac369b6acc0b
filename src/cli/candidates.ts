import type { Command, Flag } from '../base/arguments.ts'
import { entries, globalFlags } from './commands.ts'

/** What may stand where somebody pressed Tab. */
export interface Sought {
  /** What is there of it already. */
  typed: string
  /** Candidates that are known without asking anybody. */
  words: string[]
  /** Names of these are candidates too, each behind `lead`. */
  of?: string
  lead: string
  /** Operands that stand on the line already: the VMs that are meant are theirs. */
  operands: string[]
}

/** What may stand as the last of the words after `tt`. */
export async function candidatesOf(words: readonly string[]): Promise<Sought> {
  const typed = words.at(-1) ?? ''
  const before = words.slice(0, -1).filter((word) => !word.startsWith('-'))
  const entry = entries.find((one) => one.words === before.slice(0, one.words.split(' ').length).join(' '))
  if (!entry) return { typed, lead: '', operands: [], words: typed.startsWith('-') ? flagWords(globalFlags) : nextWords(before.join(' ')) }
  const command: Command = { ...entry, ...(await entry.load()) }
  const flags = [...command.flags, ...globalFlags.filter(({ long }) => !command.flags.some((own) => own.long === long))]
  if (words.slice(0, -1).includes('--')) return { typed, lead: '', operands: [], words: [] }
  const isValue = (at: number) => takingValue(words[at - 1], flags.filter(({ optional }) => !optional)) !== undefined
  const plain = words.slice(0, -1).filter((word, at) => !word.startsWith('-') && !isValue(at))
  const operands = plain.slice(entry.words.split(' ').length)
  return valueSought(typed, words.at(-2) ?? '', { flags, operands }) ?? operandSought(typed, command, { flags, operands })
}

/** The words of a line for bash, whose quotes are resolved; the last is what stands before the cursor. */
export function bashWords(line: string): string[] {
  const words = [...line.matchAll(/((?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"?|'[^']*'?)+)/g)].map(([word]) => word.replace(/\\(.)|"((?:[^"\\]|\\.)*)"?|'([^']*)'?/g, (_all, escaped?: string, double?: string, single?: string) => escaped ?? double ?? single ?? ''))
  return [...words.slice(1), ...(/\s$/.test(line) ? [''] : [])]
}

/** The part of a candidate that bash will put in: what follows the last ":" or "=" that is typed already. */
export const afterBreak = (candidate: string, typed: string): string => candidate.slice(Math.max(typed.lastIndexOf(':'), typed.lastIndexOf('=')) + 1)

const nextWords = (lead: string): string[] => {
  const under = lead === '' ? '' : `${lead} `
  return [...new Set(entries.filter(({ words }) => words.startsWith(under)).map(({ words }) => words.slice(under.length).split(' ')[0] ?? ''))]
}

const flagWords = (flags: readonly Flag[]): string[] => flags.filter(({ hidden }) => !hidden).map(({ long }) => `--${long}`)

interface Known {
  flags: readonly Flag[]
  operands: string[]
}

/** The value of a flag, behind it or joined to it by "="; of a list, its last part. */
function valueSought(typed: string, before: string, { flags, operands }: Known): Sought | undefined {
  const [, name, value] = /^(--[\w-]+)=(.*)$/s.exec(typed) ?? [undefined, before, typed]
  const flag = takingValue(name, flags)
  if (!flag || value === undefined) return undefined
  const joined = typed === value ? '' : `${name}=`
  const lead = joined + (flag.list === 'commas' ? value.slice(0, value.lastIndexOf(',') + 1) : '')
  return { typed, lead, operands, words: flag.value?.includes('|') && !flag.of ? flag.value.split('|').map((word) => lead + word) : [], of: flag.of }
}

/** The flag of this spelling, if what follows it is its value. */
const takingValue = (spelling: string | undefined, flags: readonly Flag[]): Flag | undefined =>
  flags.find(({ long, short, also, value }) => value !== undefined && (spelling === `--${long}` || (short !== undefined && spelling === `-${short}`) || also?.some((one) => spelling === `--${one}`)))

function operandSought(typed: string, command: Command, { flags, operands }: Known): Sought {
  if (typed.startsWith('-')) return { typed, lead: '', operands, words: flagWords(flags) }
  const operand = command.operands[operands.length] ?? command.operands.findLast(({ many }) => many)
  return { typed, lead: '', operands, words: operand?.name.includes('|') ? operand.name.split('|') : [], of: operand?.of }
}
