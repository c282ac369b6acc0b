import type { Problem } from '../model/errors.ts'
import { checkEnvName } from '../model/names.ts'
import type { Invocation } from './invocation.ts'

/** What became of each name of a command that takes several. */
export interface Outcome {
  name: string
  /** For people: `deleted`. */
  done?: string
  error?: Problem
}

/** The ENVs a command was called with, each once; a name that is none is refused before anything is done to the others. */
export function envNames({ given }: Invocation): string[] {
  const names = [...new Set(given.operands)]
  names.forEach(checkEnvName)
  return names
}

/** Does something to each in turn and goes on after one that fails, which is shown at once. */
export async function eachOf(invocation: Invocation, names: readonly string[], act: (name: string) => Promise<string>): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  for (const name of names) {
    try {
      outcomes.push({ name, done: await act(name) })
    } catch (thrown) {
      outcomes.push({ name, error: await invocation.report(thrown) })
    }
  }
  return outcomes
}

/** Tells what became of each that went well; errors were shown already, and are in the JSON too. */
export async function tellOutcomes({ json, quiet, print, printJson }: Invocation, outcomes: readonly Outcome[]): Promise<void> {
  if (json) return printJson({ results: outcomes.map(({ name, done, error }) => ({ name, ...(error ? { error } : { state: done }) })) })
  if (quiet) return
  for (const { name, done } of outcomes) if (done !== undefined) await print(`${name}: ${done}`)
}
