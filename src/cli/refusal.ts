import type { Problem } from '../model/errors.ts'
import type { Screen } from './terminal.ts'
import { jsonText, painted, visible } from './text.ts'

/** An error for people: what and why with its code, and under it what can be done. */
export function refusalText(refused: Problem, screen?: Screen): string {
  const problem = toldHere(refused)
  const remedy = problem.remedy === undefined ? '' : `  ${visible(problem.remedy)}\n`
  return `${painted('tt:', 'red', screen)} ${visible(aboutOf(problem) + problem.message)} (${problem.code})\n${remedy}`
}

/** An error for programs: one line of JSON. */
export const refusalJson = (problem: Problem, more: object = {}): string => `${jsonText({ error: { ...toldHere(problem), ...more } })}\n`

/** The problem with what can be done about it in the words of the command line: a server's are for those who speak HTTP themselves. */
export function toldHere(problem: Problem): Problem {
  const { code, message, remedy } = problem
  if (code === 'unauthenticated' && remedy?.startsWith('send the header')) return { ...problem, remedy: "give a token: `tt config --token-file FILE`, or TT_TOKEN; TT_DATA_DIR names a server's own data directory" }
  if (message === 'this server speaks TLS only') return { ...problem, remedy: '`tt config --tls` shows its fingerprint; `--trust` or `--fingerprint` keeps it, and https:// before the address asks by TLS' }
  return problem
}

/** Names the subject where the message does not. */
function aboutOf({ subject, message }: Problem): string {
  const name = subject?.slice(subject.indexOf('/') + 1)
  return name === undefined || name === subject || message.includes(name) ? '' : `${name}: `
}
