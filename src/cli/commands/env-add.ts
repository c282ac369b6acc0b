import { randomHex } from '../../base/world.ts'
import type { Cloud } from '../../model/cloud.ts'
import { asTtError, fail } from '../../model/errors.ts'
import { countVms } from '../../model/expand.ts'
import type { Resource } from '../../model/kinds.ts'
import { checkEnvName } from '../../model/names.ts'
import { duration } from '../../model/units.ts'
import { envAsked, envFlags } from '../env-asked.ts'
import { type Clock, defaultSoonMs, vmColumns } from '../env-columns.ts'
import { entryAsked, entryFlags } from '../keys-asked.ts'
import { reportFailure } from '../failure.ts'
import { patienceOf, waitFlags } from '../flag-values.ts'
import type { Action, Invocation } from '../invocation.ts'
import { limitText } from '../moments.ts'
import { peerRemarks } from '../peering.ts'
import { progress } from '../progress.ts'
import { envShape, envWithVms } from '../shapes.ts'
import { table } from '../table.ts'
import { checkDone, taskOver } from '../task-waiting.ts'
import { counted, visible } from '../text.ts'

/** VMs beyond these are counted, not listed, once they are ready. */
const listedVms = 50

/** `tt env add NAME`. */
export const add: Action = {
  operands: [{ name: 'NAME' }],
  flags: [...envFlags, ...entryFlags, ...waitFlags('the VMs answer')],
  details: [
    'It is made as a whole or not at all: if one VM cannot be made, none stays, and the ENV says why. Ctrl-C ends the waiting, not the making.',
  ],
  examples: [
    { line: 'tt env add demo --os-prefix micro', about: 'one VM of each image that begins with micro' },
    { line: 'tt env add web -s ubuntu,centos -d 2 -p 80,443 -l 12h', about: 'three of each, with two ports, for half a day' },
    { line: 'tt env add shop -s ubuntu --flavor m1.small --at-end stop', about: 'of the size m1.small; at its end it is halted, not deleted' },
    { line: 'tt env add box -s debian --ssh-key ~/.ssh/id_ed25519.pub --ssh-key github:ann', about: 'its guests let root in with these keys' },
    { line: 'tt env add big -s micro -d 9999 --no-wait', about: 'ten thousand, without waiting' },
  ],
  async run(invocation) {
    const { given, terminal, call } = invocation
    const [name = ''] = given.operands
    checkEnvName(name)
    const spec = { ...envAsked(given), ...(await entryAsked(invocation)) }
    const { wait, limitMs } = patienceOf(given)
    const cloud = await invocation.cloud()
    const began = terminal.world.ticks()
    const task = randomHex(terminal.world, 8)
    const env = await cloud.collection('env').put(name, { spec, uid: randomHex(terminal.world, 8), task, expect: 'absent' }, call)
    for (const remark of await peerRemarks(cloud, env, { added: spec.peers ?? [], removed: [], call })) await invocation.note(`tt: ${visible(remark)}`)
    if (!wait) return tellMade(invocation, env)
    const made = await awaited(invocation, cloud, { env, task, limitMs })
    if (made.status?.phase === 'failed') return reportFailure(invocation, made)
    await tellReady(invocation, cloud, { env: made, seconds: (terminal.world.ticks() - began) / 1000 })
  },
}

/** The ENV once it is ready or has failed. */
async function awaited(invocation: Invocation, cloud: Cloud, { env: { name, uid, spec }, task, limitMs }: { env: Resource<'env'>; task: string; limitMs?: number }): Promise<Resource<'env'>> {
  const { terminal, call } = invocation
  const remedy = `see how far it is by \`tt env show ${name}\`; \`tt env del ${name}\` deletes it`
  await using bar = progress(invocation)
  bar.show(`${name}: making ${counted(countVms(spec), 'VM')}`)
  try {
    const over = await taskOver(task, { terminal, cloud, progress: bar }, { under: name, limitMs })
    if (over.status?.state !== 'failed') checkDone(over, `env/${name}`)
    const now = await cloud.collection('env').get(name, call)
    if (now.uid !== uid) fail('not_found', `ENV ${name} was deleted and made again by somebody else`, { subject: `env/${name}` })
    if (now.status?.phase !== 'failed') checkDone(over, `env/${name}`)
    return now
  } catch (thrown) {
    const { code, subject } = asTtError(thrown)
    if (code === 'cancelled' && terminal.signal.aborted) fail('cancelled', `interrupted; ENV ${name} is still being made`, { remedy })
    if (code === 'timeout' && subject === `task/${task}` && limitMs !== undefined) fail('timeout', `ENV ${name} is not ready after ${limitText(limitMs)}; it is still being made`, { subject: `env/${name}`, remedy })
    throw thrown
  }
}

async function tellMade(invocation: Invocation, env: Resource<'env'>): Promise<void> {
  if (invocation.quiet && !invocation.json) return
  if (invocation.json) return invocation.printJson({ envs: [{ ...envShape(env, clockOf(invocation)), count: countVms(env.spec) }] })
  await invocation.print(`${env.name}: ${counted(countVms(env.spec), 'VM')} being made`)
}

async function tellReady(invocation: Invocation, cloud: Cloud, { env, seconds }: { env: Resource<'env'>; seconds: number }): Promise<void> {
  const { terminal, json, quiet, call } = invocation
  if (quiet && !json) return
  const count = countVms(env.spec)
  const headline = `${env.name} is ready: ${counted(count, 'VM')} in ${seconds < 10 ? `${seconds.toFixed(1)} s` : duration(seconds)}`
  if (!json && count > listedVms) return invocation.print(`${headline}; see \`tt env show ${env.name}\``)
  const { items } = await cloud.collection('vm').list({ under: env.name }, call)
  if (json) return invocation.printJson({ envs: [envWithVms(env, items, clockOf(invocation))] })
  await invocation.print(`${headline}\n\n${table(items, vmColumns(items), terminal.out.screen())}`)
}

const clockOf = ({ terminal }: Invocation): Clock => ({ nowMs: terminal.world.now(), soonMs: defaultSoonMs })
