import { errorOf, fail } from '../../model/errors.ts'
import type { Resource } from '../../model/kinds.ts'
import { type Clock, defaultSoonMs, envColumns } from '../env-columns.ts'
import { spanMs } from '../flag-values.ts'
import type { Action, Invocation } from '../invocation.ts'
import { envShape } from '../shapes.ts'
import { table } from '../table.ts'
import { visible } from '../text.ts'

const flags = [
  { long: 'quiet', short: 'q', about: 'Print names only, one a line' },
  { long: 'watch', short: 'w', about: 'Go on with what changes, until Ctrl-C' },
  { long: 'soon', value: 'SECONDS', about: 'Mark with ! what ends within this', default: '10m' },
] as const

/** `tt env list`: the caller's own. */
export const list: Action = {
  operands: [],
  flags,
  examples: [
    { line: 'tt env list', about: 'how they are, and when they end' },
    { line: 'tt env list --watch --soon 1h', about: 'as they change; what ends within an hour is marked' },
    { line: 'tt env list -q | xargs -r tt env del', about: 'delete them all' },
  ],
  run: (invocation) => printEnvs(invocation, { all: false }),
}

/** `tt env listall`: everybody's. */
export const listAll: Action = {
  operands: [],
  flags,
  examples: [{ line: 'tt env listall', about: 'also those of others, with their owners; without the right to see them, your own' }],
  run: (invocation) => printEnvs(invocation, { all: true }),
}

async function printEnvs(invocation: Invocation, { all }: { all: boolean }): Promise<void> {
  const { call, json, quiet, given } = invocation
  const soonMs = soonOf(invocation)
  const which = all ? { all } : {}
  if (given.has('watch') && quiet) fail('invalid', 'either --quiet or --watch')
  const cloud = await invocation.cloud()
  if (given.has('watch')) {
    const { latest, live } = await import('../live.ts')
    return live(invocation, sights(invocation, latest(cloud, 'env', { which, ...invocation }), { all, soonMs }))
  }
  const { items, missing } = await cloud.collection('env').list(which, call)
  if (json) await invocation.printJson({ envs: items.map((env) => envShape(env, clockOf(invocation, soonMs))), missing })
  else if (quiet) for (const { name } of items) await invocation.print(visible(name))
  else await invocation.print(page(invocation, items, { all, soonMs }))
  for (const problem of missing) await invocation.report(errorOf(problem))
}

/** What `--soon` says, or the usual. */
export const soonOf = ({ given }: Invocation): number => (given.has('soon') ? spanMs('--soon', given.one('soon') ?? '') : defaultSoonMs)

export const clockOf = ({ terminal }: Invocation, soonMs: number): Clock => ({ nowMs: terminal.world.now(), soonMs })

interface Look {
  all: boolean
  soonMs: number
}

const page = (invocation: Invocation, envs: readonly Resource<'env'>[], { all, soonMs }: Look) => table(envs, envColumns(clockOf(invocation, soonMs), { owner: all }), invocation.terminal.out.screen())

async function* sights(invocation: Invocation, states: AsyncIterable<ReadonlyMap<string, Resource<'env'>>>, look: Look) {
  for await (const envs of states) {
    const row = (env: Resource<'env'>) => ({ shape: envShape(env, clockOf(invocation, look.soonMs)), line: () => page(invocation, [env], look).split('\n')[1] ?? '' })
    yield { page: () => page(invocation, [...envs.values()], look), rows: new Map([...envs].map(([name, env]) => [name, row(env)])) }
  }
}
