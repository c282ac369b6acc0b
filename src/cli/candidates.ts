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
}

/** What may stand as the last of the words after `tt`. */
export async function candidatesOf(words: readonly string[]): Promise<Sought> {
  const typed = words.at(-1) ?? ''
  const before = words.slice(0, -1).filter((word) => !word.startsWith('-'))
  const entry = entries.find((one) => one.words === before.slice(0, one.words.split(' ').length).join(' '))
  if (!entry) return { typed, lead: '', words: typed.startsWith('-') ? flagWords(globalFlags) : nextWords(before.join(' ')) }
  const command: Command = { ...entry, ...(await entry.load()) }
  const flags = [...command.flags, ...globalFlags.filter(({ long }) => !command.flags.some((own) => own.long === long))]
  if (words.slice(0, -1).includes('--')) return { typed, lead: '', words: [] }
  return valueSought(typed, words.at(-2) ?? '', flags) ?? operandSought(typed, command, flags)
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

/** The value of a flag, behind it or joined to it by "="; of a list, its last part. */
function valueSought(typed: string, before: string, flags: readonly Flag[]): Sought | undefined {
  const [, name, value] = /^(--[\w-]+)=(.*)$/s.exec(typed) ?? [undefined, before, typed]
  const flag = flags.find(({ long, short, also, value: takes }) => takes !== undefined && (name === `--${long}` || (short !== undefined && name === `-${short}`) || also?.some((one) => name === `--${one}`)))
  if (!flag || value === undefined) return undefined
  const joined = typed === value ? '' : `${name}=`
  const lead = joined + (flag.list === 'commas' ? value.slice(0, value.lastIndexOf(',') + 1) : '')
  return { typed, lead, words: [], of: flag.of }
}

function operandSought(typed: string, command: Command, flags: readonly Flag[]): Sought {
  if (typed.startsWith('-')) return { typed, lead: '', words: flagWords(flags) }
  const [operand] = command.operands
  return { typed, lead: '', words: operand?.name.includes('|') ? operand.name.split('|') : [], of: operand?.of }
}
