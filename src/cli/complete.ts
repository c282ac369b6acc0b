import { deadline } from '../base/world.ts'
import { afterBreak, bashWords, candidatesOf } from './candidates.ts'
import type { Action, Invocation } from './invocation.ts'

/** A server that is slower than this is not waited for: somebody is at the keyboard. */
const patienceMs = 1000

/** What the completion scripts ask, `tt __complete SHELL -- WORDS…`: one candidate a line. Never fails, for nobody would see it. */
export const complete: Action = {
  operands: [{ name: 'SHELL' }],
  rest: 'WORD',
  flags: [],
  examples: [],
  async run(invocation) {
    const { given, print } = invocation
    const [shell = ''] = given.operands
    const words = shell === 'bash' ? bashWords(given.rest?.[0] ?? '') : (given.rest ?? [])
    const { typed, lead, words: known, of } = await candidatesOf(words)
    const names = of === 'env' || of === 'image' ? await namesOf(invocation, of) : []
    const found = [...known, ...names.map((name) => lead + name)].filter((candidate) => candidate.startsWith(typed))
    // A name with anything else in it could end up as a command on somebody's line.
    const harmless = found.filter((candidate) => /^[\w.,:/=@+-]+$/.test(candidate))
    if (harmless.length > 0) await print(harmless.map((candidate) => (shell === 'bash' ? afterBreak(candidate, typed) : candidate)).join('\n'))
  },
}

async function namesOf({ cloud, terminal }: Invocation, kind: 'env' | 'image'): Promise<string[]> {
  try {
    using limit = deadline(terminal.world, patienceMs, terminal.signal)
    const { items } = await (await cloud()).collection(kind).list({}, { signal: limit.signal })
    return items.map(({ name }) => name)
  } catch {
    return []
  }
}
