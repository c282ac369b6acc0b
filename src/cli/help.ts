import { commandHelp, listed, usageLine } from '../base/usage.ts'
import type { Command } from '../base/arguments.ts'
import { type Entry, entries, globalFlags, groups, program, serverWords } from './commands.ts'

/** The help of a command. */
export const commandHelpOf = (command: Command): string => commandHelp(program, command, globalFlags)

/** The commands that begin with these words, each with a line about it; all of them for no words. */
export function groupHelp(words: string): string {
  const lines = (some: readonly Entry[]) => some.map((one) => [one.words, one.summary] as const)
  if (words !== '') return `${groups[words]}.\n\n${listed('Commands', lines(inGroup(words)))}\n\nMore by \`${program} COMMAND --help\`.\n`
  return [
    `${program}: a private cloud, from the command line.`,
    listed('Client', lines(entries.filter((one) => !one.words.includes(' ')))),
    ...Object.entries(groups).map(([group, about]) => listed(about, lines(inGroup(group)))),
    listed('Server on this machine', Object.entries(serverWords)),
    `Everywhere: --json answers in JSON, --server HOST:PORT asks another server, -q is quiet.\nMore by \`${program} COMMAND --help\`.`,
  ]
    .join('\n\n')
    .concat('\n')
}

/** How a command is called, in a line or two, for somebody who called it wrongly. */
export async function usageOf(words: string): Promise<string> {
  const entry = entries.find((one) => one.words === words)
  const usage = entry ? usageLine(program, { ...entry, ...(await entry.load()) }) : `${program}${words === '' ? '' : ` ${words}`} COMMAND`
  return `usage: ${usage}\n  more by \`${program}${words === '' ? '' : ` ${words}`} --help\`\n`
}

const inGroup = (group: string) => entries.filter(({ words }) => words.startsWith(`${group} `))
