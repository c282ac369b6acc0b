import type { Cloud } from '../../model/cloud.ts'
import { asTtError, errorOf, fail, reasonOf } from '../../model/errors.ts'
import type { Resource } from '../../model/kinds.ts'
import { declaredIn, type Declared } from '../env-file.ts'
import { differenceLines } from '../env-difference-text.ts'
import { type Plan, planOf } from '../env-plan.ts'
import { patienceOf, waitFlags } from '../flag-values.ts'
import type { Action, Invocation } from '../invocation.ts'
import { changeEach } from '../several.ts'
import { randomHex } from '../../base/world.ts'
import { counted, painted } from '../text.ts'

/** The status of a dry run that found something to do. */
const wouldChange = 3

/** `tt env apply -f FILE`. */
export const apply: Action = {
  operands: [],
  flags: [
    { long: 'file', short: 'f', value: 'FILE', list: 'repeat', required: true, about: 'A file that describes ENVs, YAML or JSON; - is standard input' },
    { long: 'yes', also: ['assume-yes'], about: 'Do not ask' },
    { long: 'dry-run', about: 'Only show what would change; the status is 3 if something would, else 0' },
    ...waitFlags('every change holds'),
  ],
  details: [
    'A description is the name of an ENV and the fields of its spec, as the API has them: groups (image or prefix, count, flavor or cpu, memMb and diskMb, ports), lifetimeSeconds, atEnd, denyOutgoing, deny, peers and so on. Several ENVs are several documents, or a list. `tt env export` writes one.',
    'The difference is shown first; on a terminal it asks, elsewhere it wants --yes. What a description does not say stays as it is. A group that it does not name goes, with its VMs; an ENV that it does not name stays. Counts are of VMs that live, unless the description has `kicked`.',
  ],
  examples: [
    { line: 'tt env apply -f env.yaml', about: 'make, change and scale what env.yaml describes' },
    { line: 'tt env apply -f env.yaml --dry-run', about: 'what would that change?' },
    { line: 'tt env export demo | tt env apply -f - --yes', about: 'changes nothing' },
  ],
  async run(invocation) {
    const { given, json, printJson, terminal } = invocation
    const patience = patienceOf(given)
    const declared = await describedEnvs(invocation)
    const cloud = await invocation.cloud()
    const plans = await plansOf(invocation, cloud, declared)
    const changing = plans.filter(({ action }) => action !== 'none')
    if (given.has('dry-run') && json) await printJson({ plan: plans.map(({ name, action, differences }) => ({ name, action, differences })) })
    else if (!json) await invocation.print(plans.map((plan) => planText(plan, terminal)).join('\n'))
    if (given.has('dry-run')) return changing.length > 0 ? invocation.raise(wouldChange) : undefined
    if (changing.length === 0) return json ? printJson({ results: plans.map(({ name }) => ({ name, state: 'unchanged' })) }) : undefined
    if (!given.has('yes')) await confirmed(invocation, changing)
    const byName = new Map(plans.map((plan) => [plan.name, plan]))
    await changeEach(invocation, (json ? plans : changing).map(({ name }) => name), { cloud, patience, ask: (name, task) => begun(invocation, cloud, { plan: byName.get(name) as Plan, task }) })
  },
}

async function describedEnvs({ given, terminal }: Invocation): Promise<Declared[]> {
  const paths = [...new Set(given.all('file'))]
  const found: Declared[] = []
  for (const path of paths) found.push(...(await declaredIn(path === '-' ? await inputText(terminal.input()) : fileText(terminal, path), path === '-' ? 'standard input' : path)))
  const twice = found.find(({ name }, index) => found.findIndex((other) => other.name === name) < index)
  return twice ? fail('invalid', `${twice.place}: ENV ${twice.name} is described twice`) : found
}

function fileText({ readFile }: Invocation['terminal'], path: string): string {
  try {
    return readFile(path)
  } catch (fault) {
    return fail('invalid', `the description cannot be read: ${reasonOf(fault)}`)
  }
}

async function inputText(input: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const piece of input) text += decoder.decode(piece, { stream: true })
  return text + decoder.decode()
}

/** What is to become of each, with what is now; whatever cannot be is refused before anything is changed. */
async function plansOf({ call }: Invocation, cloud: Cloud, declared: readonly Declared[]): Promise<Plan[]> {
  const [images, ...envs] = await Promise.all([cloud.collection('image').list({}, call), ...declared.map(({ name }) => present(cloud, name, call))])
  return declared.map((one, at) => planOf(one, envs[at], images.items))
}

/** The ENV as it is; one that has failed is only an explanation, in nobody's way. */
async function present(cloud: Cloud, name: string, call: Invocation['call']): Promise<Resource<'env'> | undefined> {
  try {
    const env = await cloud.collection('env').get(name, call)
    if (env.removing !== undefined) throw errorOf({ code: 'conflict', message: `ENV ${name} is being removed`, subject: `env/${name}`, remedy: 'try again in a moment' })
    return env.status?.phase === 'failed' ? undefined : env
  } catch (thrown) {
    if (asTtError(thrown).code === 'not_found') return undefined
    throw thrown
  }
}

const headlines: Record<Plan['action'], string> = { create: 'is to be made', change: 'is to change', none: 'is as described' }

function planText({ name, action, differences }: Plan, { out }: Invocation['terminal']): string {
  const screen = out.screen()
  return [`${painted(name, 'bold', screen)} ${headlines[action]}`, ...differenceLines(differences, screen)].join('\n')
}

/** Asks the person at the keyboard; where there is none, it has to be said in advance. */
async function confirmed({ terminal }: Invocation, changing: readonly Plan[]): Promise<void> {
  using keyboard = (await terminal.keyboard()) ?? fail('invalid', 'there is nobody to ask, and something is to change: say --yes', { remedy: 'look at the difference first by --dry-run' })
  await terminal.err.write(`Change ${counted(changing.length, 'ENV')}? [y/N] `)
  const interrupted = Promise.withResolvers<string>()
  terminal.signal.addEventListener('abort', () => interrupted.resolve('\x03'), { once: true })
  const key = await Promise.race([pressed(keyboard.keys), interrupted.promise])
  keyboard[Symbol.dispose]() // Lines end as they should again.
  const yes = /^[yY]/.test(key)
  await terminal.err.write(`${yes ? 'yes' : 'no'}\n`)
  if (!yes) fail('cancelled', 'nothing was changed')
}

async function pressed(keys: AsyncIterable<Uint8Array>): Promise<string> {
  for await (const key of keys) return new TextDecoder().decode(key)
  return ''
}

async function begun({ call, terminal }: Invocation, cloud: Cloud, { plan, task }: { plan: Plan; task: string }) {
  const { name, action, asked, revision } = plan
  if (action === 'none') return { done: 'as described', going: '', more: { state: 'unchanged' } }
  const making = action === 'create'
  // What was shown is what is done: if the ENV has changed meanwhile, somebody has to look again.
  const env = await cloud.collection('env').put(name, { spec: asked, task, expect: revision ?? 'absent', ...(making ? { uid: randomHex(terminal.world, 8) } : {}) }, call)
  return { ...(env.status?.task === task ? { task } : {}), done: making ? 'made' : 'changed', going: making ? 'being made' : 'being changed', more: { state: making ? 'created' : 'changed', task } }
}
