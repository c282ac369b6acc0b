import { fail } from './errors.ts'

/** What the first line of a script names after `#!`, with its argument; undefined if the guest's shell is to run it. Refuses what no guest can run. */
export function interpreterOf(script: string): { program: string; argument?: string } | undefined {
  if (!script.startsWith('#!')) return undefined
  const line = script.slice(2).split('\n', 1)[0] as string
  if (line.endsWith('\r')) {
    fail('invalid', `the script's first line ends in a carriage return, so it names '${line.trim().slice(0, 100)}\\r', which no guest has`, { remedy: 'save it with the line ends of Unix: `sed -i "s/\\r$//" FILE`' })
  }
  const [, program, argument] = /^[ \t]*([^ \t]+)[ \t]*(.*?)[ \t]*$/.exec(line) ?? []
  if (program === undefined) fail('invalid', "the script's first line begins with #! and names nothing to run it")
  return argument ? { program, argument } : { program }
}
