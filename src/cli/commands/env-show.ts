import type { Cloud } from '../../model/cloud.ts'
import type { Resource } from '../../model/kinds.ts'
import { checkEnvName } from '../../model/names.ts'
import { stateOf, vmColumns } from '../env-columns.ts'
import { problemLines } from '../failure.ts'
import type { Action, Invocation } from '../invocation.ts'
import { ago, until } from '../moments.ts'
import { envWithVms } from '../shapes.ts'
import { table } from '../table.ts'
import { counted, painted, visible } from '../text.ts'

/** `tt env show NAME…`. */
export const show: Action = {
  operands: [{ name: 'NAME', many: true, of: 'env' }],
  flags: [],
  details: ['A VM is called by its ENV and its index, as in demo.0. Under PORTS stands the address to reach it at from outside and, for each of its ports, the public one: 40001->22 means that port 40001 there leads to its port 22.'],
  examples: [
    { line: 'tt env show demo', about: 'its VMs, their addresses and ports' },
    { line: 'tt env show a b --json', about: 'two of them, for a program' },
  ],
  async run(invocation) {
    const names = [...new Set(invocation.given.operands)]
    names.forEach(checkEnvName)
    const cloud = await invocation.cloud()
    const found = await Promise.allSettled(names.map((name) => envAndVms(cloud, name, invocation)))
    const shown = found.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    if (invocation.json) await invocation.printJson({ envs: shown.map(({ env, vms }) => envWithVms(env, vms)) })
    else if (shown.length > 0) await invocation.print(shown.map(({ env, vms }) => envText(invocation, env, vms)).join('\n\n'))
    for (const one of found) if (one.status === 'rejected') await invocation.report(one.reason)
  },
}

export interface EnvAndVms {
  env: Resource<'env'>
  vms: Resource<'vm'>[]
}

export async function envAndVms(cloud: Cloud, name: string, { call }: Pick<Invocation, 'call'>): Promise<EnvAndVms> {
  const [env, vms] = await Promise.all([cloud.collection('env').get(name, call), cloud.collection('vm').list({ under: name }, call)])
  return { env, vms: vms.items }
}

/** One ENV for people: a headline, what is wrong with it, its VMs. */
function envText({ terminal }: Invocation, env: Resource<'env'>, vms: readonly Resource<'vm'>[]): string {
  const screen = terminal.out.screen()
  const nowMs = terminal.world.now()
  const { status, spec } = env
  const words = [
    stateOf(env),
    `${status?.ready ?? 0} of ${counted(status?.vms ?? vms.length, 'VM')} ready`,
    `owner ${env.owner}`,
    `created ${ago(env.created, nowMs)}`,
    `ends ${until(status?.expires, nowMs)}`,
    ...(spec.denyOutgoing ? ['no outgoing connections'] : []),
    ...(spec.host === undefined ? [] : [`on ${spec.host} only`]),
  ]
  const troubled = new Set(status?.problems?.map(({ vm }) => vm))
  const others = vms.flatMap(({ name, status: at }) => (at?.problem && !troubled.has(name) ? [{ vm: name, problem: at.problem }] : []))
  const problems = problemLines([...(status?.problems ?? []), ...others], status?.more)
  const rows = vms.length === 0 ? 'It has no VMs.' : table(vms, vmColumns(vms), screen)
  return `${painted(env.name, 'bold', screen)}: ${visible(words.join(', '))}\n${problems}\n${rows}`
}
