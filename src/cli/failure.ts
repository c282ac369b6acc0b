import { errorCodes, type Problem } from '../model/errors.ts'
import type { Resource } from '../model/kinds.ts'
import type { Invocation } from './invocation.ts'
import { refusalJson, refusalText } from './refusal.ts'
import { counted, visible } from './text.ts'

/** Shows why an ENV has failed, VM by VM; the program ends with the status of the first VM's error. */
export async function reportFailure({ terminal, json, raise }: Invocation, env: Resource<'env'>): Promise<void> {
  const problem = failureOf(env)
  const problems = env.status?.problems ?? []
  const more = env.status?.more ?? 0
  raise(errorCodes[problem.code].exit)
  if (json) return terminal.err.write(refusalJson(problem, { problems, more }))
  await terminal.err.write(refusalText(problem, terminal.err.screen()) + problemLines(problems, more))
}

/** A line for each VM, with what can be done under it. */
export function problemLines(problems: readonly { vm?: string; problem: Problem }[], more = 0): string {
  const lines = problems.flatMap(({ vm, problem }) => [
    `  ${vm === undefined ? '' : `${vm}: `}${visible(problem.message)} (${problem.code})`,
    ...(problem.remedy === undefined ? [] : [`    ${visible(problem.remedy)}`]),
  ])
  if (more > 0) lines.push(`  and ${counted(more, 'VM')} more`)
  return lines.map((line) => `${line}\n`).join('')
}

function failureOf({ name, status }: Resource<'env'>): Problem {
  const problems = status?.problems ?? []
  const count = problems.length + (status?.more ?? 0)
  return {
    code: problems[0]?.problem.code ?? 'failed',
    message: `ENV ${name} has failed: ${count} of ${counted(status?.vms ?? count, 'VM')} could not be made`,
    subject: `env/${name}`,
    remedy: `nothing of it runs any more; it explains itself in \`tt env show ${name}\` for an hour, or until \`tt env del ${name}\``,
  }
}
