import { randomHex } from '../../base/world.ts'
import type { Cloud } from '../../model/cloud.ts'
import { asTtError, fail } from '../../model/errors.ts'
import type { Resource } from '../../model/kinds.ts'
import { checkEnvName } from '../../model/names.ts'
import { duration } from '../../model/units.ts'
import { envAsked, envFlags } from '../env-asked.ts'
import { vmColumns } from '../env-columns.ts'
import { reportFailure } from '../failure.ts'
import type { Action, Invocation } from '../invocation.ts'
import { progress } from '../progress.ts'
import { envShape, envWithVms } from '../shapes.ts'
import { table } from '../table.ts'
import { counted } from '../text.ts'
import { settled } from '../watching.ts'

/** VMs beyond these are counted, not listed, once they are ready. */
const listedVms = 50

/** `tt env add NAME`. */
export const add: Action = {
  operands: [{ name: 'NAME' }],
  flags: [...envFlags, { long: 'no-wait', about: 'Do not wait until the VMs answer' }],
  details: [
    'It is made as a whole or not at all: if one VM cannot be made, none stays, and the ENV says why. Ctrl-C ends the waiting, not the making.',
  ],
  examples: [
    { line: 'tt env add demo --os-prefix micro', about: 'one VM of each image that begins with micro' },
    { line: 'tt env add web -s ubuntu,centos -d 2 -p 80,443 -l 12h', about: 'three of each, with two ports, for half a day' },
    { line: 'tt env add big -s micro -d 9999 --no-wait', about: 'ten thousand, without waiting' },
  ],
  async run(invocation) {
    const { given, terminal, call } = invocation
    const [name = ''] = given.operands
    checkEnvName(name)
    const spec = envAsked(given)
    const cloud = await invocation.cloud()
    const began = terminal.world.ticks()
    const env = await cloud.collection('env').put(name, { spec, uid: randomHex(terminal.world, 8), expect: 'absent' }, call)
    if (given.has('no-wait')) return tellMade(invocation, env)
    const ready = await awaited(invocation, cloud, env)
    if (ready.status?.phase === 'failed') return reportFailure(invocation, ready)
    await tellReady(invocation, cloud, { env: ready, seconds: (terminal.world.ticks() - began) / 1000 })
  },
}

async function awaited(invocation: Invocation, cloud: Cloud, env: Resource<'env'>): Promise<Resource<'env'>> {
  const { terminal } = invocation
  await using bar = progress(invocation)
  bar.show(`${env.name}: making ${counted(vmsOf(env), 'VM')}`)
  try {
    return await settled(env, { terminal, cloud, progress: bar })
  } catch (thrown) {
    if (asTtError(thrown).code !== 'cancelled') throw thrown
    fail('cancelled', `interrupted; ENV ${env.name} is still being made`, { remedy: `see how far it is by \`tt env show ${env.name}\`; \`tt env del ${env.name}\` deletes it` })
  }
}

async function tellMade(invocation: Invocation, env: Resource<'env'>): Promise<void> {
  if (invocation.quiet && !invocation.json) return
  if (invocation.json) return invocation.printJson({ envs: [{ ...envShape(env), count: vmsOf(env) }] })
  await invocation.print(`${env.name}: ${counted(vmsOf(env), 'VM')} being made`)
}

async function tellReady(invocation: Invocation, cloud: Cloud, { env, seconds }: { env: Resource<'env'>; seconds: number }): Promise<void> {
  const { terminal, json, quiet, call } = invocation
  if (quiet && !json) return
  const count = vmsOf(env)
  const headline = `${env.name} is ready: ${counted(count, 'VM')} in ${seconds < 10 ? `${seconds.toFixed(1)} s` : duration(seconds)}`
  if (!json && count > listedVms) return invocation.print(`${headline}; see \`tt env show ${env.name}\``)
  const { items } = await cloud.collection('vm').list({ under: env.name }, call)
  if (json) return invocation.printJson({ envs: [envWithVms(env, items)] })
  await invocation.print(`${headline}\n\n${table(items, vmColumns(items), terminal.out.screen())}`)
}

const vmsOf = ({ spec }: Resource<'env'>): number => spec.groups.reduce((sum, { count }) => sum + count, 0)
