import type { Command, Flag, Operand } from './arguments.ts'
import type { Schema } from './settings.ts'

/** Help and reference of a program whose commands are data: nothing here is written twice. */

/** `tt env add NAME --os-prefix PREFIX,… [flags]`: what must be given, and how. */
export function usageLine(program: string, command: Command): string {
  const operands = command.operands.map(operandText)
  const required = command.flags.filter((flag) => flag.required).map((flag) => `--${flag.long} ${valueText(flag)}`)
  const others = command.flags.some((flag) => !flag.required && !flag.hidden) ? ['[flags]'] : []
  return [program, command.words, ...operands, ...required, ...others, ...(command.rest === undefined ? [] : [`[-- ${command.rest}…]`])].filter((word) => word !== '').join(' ')
}

/** The help of one command, 80 columns wide. */
export function commandHelp(program: string, command: Command, globals: readonly Flag[]): string {
  const shadowed = new Set(command.flags.map(({ long }) => long))
  return [
    `${command.summary}.`,
    section('Usage', [`  ${usageLine(program, command)}`]),
    command.flags.some(({ hidden }) => !hidden) ? section('Flags', flagLines(command.flags)) : '',
    section('Everywhere', flagLines(globals.filter(({ long }) => !shadowed.has(long)))),
    ...(command.details ?? []).map((paragraph) => wrapped(paragraph, 80).join('\n')),
    command.examples.length > 0 ? section('Examples', exampleLines(command.examples)) : '',
  ]
    .filter((part) => part !== '')
    .join('\n\n')
    .concat('\n')
}

/** A list of words, each with a line about it: the commands of a program or of a part of it. */
export function listed(title: string, lines: readonly (readonly [string, string])[]): string {
  const width = Math.max(...lines.map(([word]) => word.length))
  return section(
    title,
    lines.flatMap(([word, about]) => hanging(`  ${word.padEnd(width)}  `, about)),
  )
}

/** The reference of one command, as Markdown. */
export function commandManual(program: string, command: Command): string {
  return [
    `## ${program} ${command.words}`.trimEnd(),
    `${command.summary}.`,
    `\`\`\`\n${usageLine(program, command)}\n\`\`\``,
    ...(command.flags.some(({ hidden }) => !hidden) ? [flagTable(command.flags)] : []),
    ...(command.details ?? []),
    ...(command.examples.length > 0 ? [`\`\`\`sh\n${command.examples.map(({ line, about }) => `${line}  # ${about}`).join('\n')}\n\`\`\``] : []),
  ].join('\n\n')
}

/** Flags as a table in Markdown, every spelling of them. */
export function flagTable(flags: readonly Flag[]): string {
  const rows = flags.filter(({ hidden }) => !hidden).map((flag) => `| \`${spellings(flag, true).trim()}\` | ${(flag.about + defaultText(flag)).replaceAll('|', '\\|')} |`)
  return ['| flag | |', '|---|---|', ...rows].join('\n')
}

/** Settings as a table in Markdown: every place each can be given in. */
export function settingTable(schema: Schema): string {
  const reloads = Object.values(schema).some(({ live }) => live)
  const rows = Object.entries(schema).map(([key, { about, env, flag, file, default: value, form, live }]) => {
    const places = [env === undefined ? '' : `\`${env}\``, flag === undefined ? '' : `\`--${flag.long}\``, file === false ? '' : `\`${key}\``]
    const text = value === undefined ? '' : form.toText(value)
    return `| ${[about, ...places, text === '' ? '' : `\`${text}\``, ...(reloads ? [live ? 'yes' : ''] : [])].join(' | ')} |`
  })
  const titles = ['', 'environment', 'flag', 'key in the file', 'default', ...(reloads ? ['taken over by a reload'] : [])]
  return [`| ${titles.join(' | ')} |`.replace('|  |', '| |'), `|${'---|'.repeat(titles.length)}`, ...rows].join('\n')
}

/** Text in lines of at most `width`, broken at blanks. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}

const operandText = ({ name, many, optional }: Operand) => {
  const text = many ? `${name}…` : name
  return optional ? `[${text}]` : text
}

const valueText = ({ value = '', list }: Flag) => (list === 'commas' ? `${value},…` : value)

const section = (title: string, lines: string[]) => [`${title}:`, ...lines].join('\n')

function flagLines(flags: readonly Flag[]): string[] {
  const shown = flags.filter(({ hidden }) => !hidden)
  const names = shown.map((flag) => spellings(flag, false))
  const width = Math.min(28, Math.max(...names.map((name) => name.length)))
  return shown.flatMap((flag, at) => {
    const name = names[at] ?? ''
    const about = flag.about + defaultText(flag)
    if (name.length <= width) return hanging(`  ${name.padEnd(width)}  `, about)
    return [`  ${name}`, ...hanging(' '.repeat(width + 4), about)]
  })
}

function spellings(flag: Flag, all: boolean): string {
  const value = flag.value === undefined ? '' : flag.optional ? `[=${flag.value}]` : ` ${valueText(flag)}`
  const others = all ? (flag.also ?? []).map((name) => `, --${name}`).join('') : ''
  return `${flag.short === undefined ? '    ' : `-${flag.short}, `}--${flag.long}${others}${value}`
}

const defaultText = (flag: Flag) => (flag.required ? ' (must be given)' : flag.default === undefined ? '' : ` (default ${flag.default})`)

const exampleLines = (examples: Command['examples']) => examples.flatMap(({ line, about }) => [`  ${line}`, `      ${about}`])

/** Wraps `text` behind `lead`; the lines that follow stand under its first word. */
function hanging(lead: string, text: string): string[] {
  const [first = '', ...more] = wrapped(text, Math.max(24, 80 - lead.length))
  return [lead + first, ...more.map((line) => ' '.repeat(lead.length) + line)]
}
