import type { Problem } from '../model/errors.ts'
import type { Screen } from './terminal.ts'
import { jsonText, painted, visible } from './text.ts'

/** An error for people: what and why with its code, and under it what can be done. */
export function refusalText(problem: Problem, screen?: Screen): string {
  const remedy = problem.remedy === undefined ? '' : `  ${visible(problem.remedy)}\n`
  return `${painted('tt:', 'red', screen)} ${visible(aboutOf(problem) + problem.message)} (${problem.code})\n${remedy}`
}

/** An error for programs: one line of JSON. */
export const refusalJson = (problem: Problem, more: object = {}): string => `${jsonText({ error: { ...problem, ...more } })}\n`

/** Names the subject where the message does not. */
function aboutOf({ subject, message }: Problem): string {
  const name = subject?.slice(subject.indexOf('/') + 1)
  return name === undefined || name === subject || message.includes(name) ? '' : `${name}: `
}
