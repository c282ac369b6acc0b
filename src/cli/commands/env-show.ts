import type { Cloud } from '../../model/cloud.ts'
import type { Resource } from '../../model/kinds.ts'
import { checkEnvName } from '../../model/names.ts'
import { clockOf, soonOf } from './env-list.ts'
import { type Clock, endText, stateOf, vmColumns } from '../env-columns.ts'
import { problemLines } from '../failure.ts'
import type { Action, Invocation } from '../invocation.ts'
import type { Sight } from '../live.ts'
import { ago } from '../moments.ts'
import { type Peering, peeringsOf, silentLines } from '../peering.ts'
import { envShape, envWithVms, peeringShape, vmShape } from '../shapes.ts'
import { table } from '../table.ts'
import { counted, painted, visible } from '../text.ts'

/** `tt env show NAME…`. */
export const show: Action = {
  operands: [{ name: 'NAME', many: true, of: 'env' }],
  flags: [
    { long: 'watch', short: 'w', about: 'Go on with what changes, until Ctrl-C' },
    { long: 'soon', value: 'SECONDS', about: 'Mark with ! an end within this', default: '10m' },
  ],
  details: ['A VM is called by its ENV and its index, as in demo.0. Under PORTS stands where each of its ports is reached from outside: 192.0.2.1:40001->22 means that port 40001 of that address leads to its port 22.'],
  examples: [
    { line: 'tt env show demo', about: 'its VMs, their addresses and ports' },
    { line: 'tt env show a b --json', about: 'two of them, for a program' },
    { line: 'tt env show demo --watch', about: 'as its VMs come up' },
  ],
  async run(invocation) {
    const names = [...new Set(invocation.given.operands)]
    names.forEach(checkEnvName)
    const soonMs = soonOf(invocation)
    const cloud = await invocation.cloud()
    const all = envsOf(cloud, invocation)
    const found = await Promise.allSettled(names.map((name) => envAndVms(cloud, name, { ...invocation, all })))
    const shown = found.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    if (invocation.given.has('watch') && shown.length > 0) {
      for (const one of found) if (one.status === 'rejected') await invocation.report(one.reason)
      const { latest, live } = await import('../live.ts')
      const known = new Map(shown.map(({ env }) => [env.name, env.uid]))
      return live(invocation, sights(invocation, cloud, { known, soonMs, states: latest(cloud, 'env', { which: { all: true }, ...invocation }) }))
    }
    const clock = clockOf(invocation, soonMs)
    if (invocation.json) await invocation.printJson({ envs: shown.map(({ env, vms, peerings }) => ({ ...envWithVms(env, vms, clock), peerings: peerings.map(peeringShape) })) })
    else if (shown.length > 0) await invocation.print(shown.map((one) => envText(invocation, one, clock)).join('\n\n'))
    for (const one of found) if (one.status === 'rejected') await invocation.report(one.reason)
  },
}

interface EnvAndVms {
  env: Resource<'env'>
  vms: Resource<'vm'>[]
  peerings: Peering[]
}

type Envs = Iterable<Resource<'env'>>

async function envAndVms(cloud: Cloud, name: string, { call, all }: Pick<Invocation, 'call'> & { all: Envs | Promise<Envs> }): Promise<EnvAndVms> {
  const [env, vms, envs] = await Promise.all([cloud.collection('env').get(name, call), cloud.collection('vm').list({ under: name }, call), all])
  return { env, vms: vms.items, peerings: peeringsOf(env, envs) }
}

/** All ENVs there are to see: any of them may name one that is shown. */
const envsOf = async (cloud: Cloud, { call }: Pick<Invocation, 'call'>): Promise<Envs> => (await cloud.collection('env').list({ all: true }, call)).items

/** One ENV for people: a headline, what is wrong with it, its VMs. */
function envText({ terminal }: Invocation, { env, vms, peerings }: EnvAndVms, clock: Clock): string {
  const screen = terminal.out.screen()
  const { status, spec } = env
  const talks = peerings.flatMap(({ env: name, talks: may }) => (may ? [name] : []))
  const words = [
    stateOf(env, clock.nowMs),
    `${status?.ready ?? 0} of ${counted(status?.vms ?? vms.length, 'VM')} ready`,
    `owner ${env.owner}`,
    `created ${ago(env.created, clock.nowMs)}`,
    `${stateOf(env, clock.nowMs) === 'expired' ? 'ended' : 'ends'} ${endText(env, clock)}`,
    ...(spec.atEnd === 'stop' ? ['halts at its end'] : []),
    ...(spec.keepDisks ? ['keeps its disks'] : []),
    ...(spec.denyOutgoing ? ['no outgoing connections'] : []),
    ...(spec.deny.length > 0 ? [`may not reach ${spec.deny.join(' ')}`] : []),
    ...(spec.sshKeys.length > 0 ? [`${counted(spec.sshKeys.length, 'ssh key')} may enter`] : []),
    ...(spec.userData === undefined ? [] : ['has user data']),
    ...(status?.lost ? [`${counted(status.lost, 'guest')} silent`] : []),
    ...(talks.length > 0 ? [`talks with ${talks.join(' ')}`] : []),
    ...(spec.host === undefined ? [] : [`on ${spec.host} only`]),
  ]
  const troubled = new Set(status?.problems?.map(({ vm }) => vm))
  const others = vms.flatMap(({ name, status: at }) => (at?.problem && !troubled.has(name) ? [{ vm: name, problem: at.problem }] : []))
  const problems = problemLines([...(status?.problems ?? []), ...others], status?.more)
  const rows = vms.length === 0 ? 'It has no VMs.' : table(vms, vmColumns(vms), screen)
  return `${painted(env.name, 'bold', screen)}: ${visible(words.join(', '))}\n${problems}${exceptionLines(env)}${silentLines(peerings).map((line) => `${visible(line)}\n`).join('')}\n${rows}`
}

/** What is different for single VMs of it. */
function exceptionLines({ name, spec }: Resource<'env'>): string {
  const there = Object.entries(spec.exceptions).filter(([index]) => !spec.kicked.includes(Number(index)))
  const lines = there.map(([index, { denyOutgoing, deny, ports }]) => {
    const words = [
      ...(denyOutgoing === undefined ? [] : [denyOutgoing ? 'no outgoing connections' : 'outgoing connections allowed']),
      ...(deny === undefined ? [] : [deny.length === 0 ? 'may reach every address' : `may not reach ${deny.join(' ')}`]),
      ...(ports === undefined ? [] : [`ports ${ports.join(' ')}`]),
    ]
    return `  ${name}.${index}: ${words.join(', ')}\n`
  })
  return lines.join('')
}

interface Watched {
  /** The ENVs by name and uid: another that comes to have the name is not meant. */
  known: ReadonlyMap<string, string>
  soonMs: number
  states: AsyncIterable<ReadonlyMap<string, Resource<'env'>>>
}

async function* sights(invocation: Invocation, cloud: Cloud, { known, soonMs, states }: Watched): AsyncGenerator<Sight> {
  for await (const envs of states) {
    const there = [...known].filter(([name, uid]) => envs.get(name)?.uid === uid)
    const read = await Promise.allSettled(there.map(([name]) => envAndVms(cloud, name, { ...invocation, all: [...envs.values()] })))
    const seen = read.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])) // One that failed went away in between: the next state says so.
    const clock = clockOf(invocation, soonMs)
    const rows: Sight['rows'] = new Map(
      seen.flatMap(({ env, vms, peerings }): [string, { shape: object; line(): string }][] => [
        [env.name, { shape: { ...envShape(env, clock), peerings: peerings.map(peeringShape) }, line: () => `${env.name}: ${stateOf(env, clock.nowMs)}, ${env.status?.ready ?? 0} of ${counted(env.status?.vms ?? 0, 'VM')} ready` }],
        ...vms.map((vm): [string, { shape: object; line(): string }] => [vm.name, { shape: vmShape(vm), line: () => table([vm], vmColumns([vm]), invocation.terminal.out.screen()).split('\n')[1] ?? '' }]),
      ]),
    )
    yield { page: () => seen.map((one) => envText(invocation, one, clock)).join('\n\n'), rows }
    if (seen.length === 0) return
  }
}
