import { errorOf } from '../../model/errors.ts'
import { envColumns } from '../env-columns.ts'
import type { Action, Invocation } from '../invocation.ts'
import { envShape } from '../shapes.ts'
import { table } from '../table.ts'
import { visible } from '../text.ts'

const names = { long: 'quiet', short: 'q', about: 'Print names only, one a line' } as const

/** `tt env list`: the caller's own. */
export const list: Action = {
  operands: [],
  flags: [names],
  examples: [
    { line: 'tt env list', about: 'how they are, and when they end' },
    { line: 'tt env list -q | xargs -r tt env del', about: 'delete them all' },
  ],
  run: (invocation) => printEnvs(invocation, { all: false }),
}

/** `tt env listall`: everybody's. */
export const listAll: Action = {
  operands: [],
  flags: [names],
  examples: [{ line: 'tt env listall', about: 'also those of others, with their owners; without the right to see them, your own' }],
  run: (invocation) => printEnvs(invocation, { all: true }),
}

async function printEnvs(invocation: Invocation, { all }: { all: boolean }): Promise<void> {
  const { call, json, quiet, terminal } = invocation
  const cloud = await invocation.cloud()
  const [about, { items, missing }] = await Promise.all([all ? undefined : cloud.about(call), cloud.collection('env').list({}, call)])
  const envs = about ? items.filter(({ owner }) => owner === about.user) : items
  if (json) await invocation.printJson({ envs: envs.map(envShape), missing })
  else if (quiet) for (const { name } of envs) await invocation.print(visible(name))
  else await invocation.print(table(envs, envColumns(terminal.world.now(), { owner: all }), terminal.out.screen()))
  for (const problem of missing) await invocation.report(errorOf(problem))
}
