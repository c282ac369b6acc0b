import { randomHex } from '../base/world.ts'
import type { Cloud } from '../model/cloud.ts'
import type { Problem } from '../model/errors.ts'
import { checkEnvName } from '../model/names.ts'
import type { Patience } from './flag-values.ts'
import type { Invocation } from './invocation.ts'
import { progress } from './progress.ts'
import { taskDone } from './task-waiting.ts'

/** What became of each name of a command that takes several. */
export interface Outcome {
  name: string
  /** For people: `deleted`. */
  done?: string
  /** More about it, a line each. */
  lines?: readonly string[]
  /** More about it, for programs. */
  more?: object
  error?: Problem
}

/** What was asked for, and the task it made, if it made one. */
export interface Begun extends Omit<Outcome, 'name' | 'error'> {
  task?: string
  /** For people, while the task goes on: `being deleted`. */
  going: string
}

/** The ENVs a command was called with, each once; a name that is none is refused before anything is done to the others. */
export function envNames({ given }: Invocation): string[] {
  const names = [...new Set(given.operands)]
  names.forEach(checkEnvName)
  return names
}

/** Does something to each in turn and goes on after one that fails, which is shown at once. */
export async function eachOf<T extends Omit<Outcome, 'name'>>(invocation: Invocation, names: readonly string[], act: (name: string) => Promise<T | string>): Promise<(Outcome & Partial<T>)[]> {
  const outcomes: (Outcome & Partial<T>)[] = []
  for (const name of names) {
    try {
      const done = await act(name)
      outcomes.push({ name, ...(typeof done === 'string' ? ({ done } as T) : done) })
    } catch (thrown) {
      outcomes.push({ name, error: await invocation.report(thrown) } as Outcome & Partial<T>)
    }
  }
  return outcomes
}

/**
 * Asks for a change of each ENV, waits for all of them afterwards so that they go on at the same time, and tells of each. The task is named here, so
 * that a change which reaches the cloud twice is one.
 */
export async function changeEach(invocation: Invocation, names: readonly string[], { patience, cloud, ask }: { patience: Patience; cloud: Cloud; ask(name: string, task: string): Promise<Begun> }): Promise<void> {
  const { terminal } = invocation
  const began = terminal.world.ticks()
  const begun = await eachOf(invocation, names, (name) => ask(name, randomHex(terminal.world, 8)))
  const waited = new Map<string, Outcome>()
  if (patience.wait) {
    await using bar = progress(invocation)
    for (const { name, task } of begun) {
      if (task === undefined) continue
      const spent = terminal.world.ticks() - began
      const limitMs = patience.limitMs === undefined ? undefined : Math.max(1, patience.limitMs - spent)
      const [outcome] = await eachOf(invocation, [name], async () => {
        await taskDone(task, { terminal, cloud, progress: bar }, { under: name, limitMs })
        return {}
      })
      if (outcome) waited.set(name, outcome)
    }
  }
  await tellOutcomes(
    invocation,
    begun.map(({ task, going, ...one }) => ({ ...one, ...(task === undefined || patience.wait ? {} : { done: going }), ...waited.get(one.name) })),
  )
}

/** Tells what became of each that went well; errors were shown already, and are in the JSON too. */
export async function tellOutcomes({ json, quiet, print, printJson }: Invocation, outcomes: readonly Outcome[]): Promise<void> {
  if (json) return printJson({ results: outcomes.map(({ name, done, more, error }) => ({ name, ...(error ? { error } : { state: done }), ...more })) })
  if (quiet) return
  for (const { name, done, lines = [], error } of outcomes) if (done !== undefined && !error) await print([`${name}: ${done}`, ...lines].join('\n'))
}
