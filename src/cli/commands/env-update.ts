import type { Cloud } from '../../model/cloud.ts'
import { fail } from '../../model/errors.ts'
import type { Resource } from '../../model/kinds.ts'
import { vmName } from '../../model/names.ts'
import { changedEnv, type Edit } from '../env-change.ts'
import { differences } from '../env-difference.ts'
import { differenceLines } from '../env-difference-text.ts'
import { askedOf, editFlags, editOf } from '../env-edit.ts'
import { keyEdit, keyEditFlags } from '../keys-asked.ts'
import { patienceOf, spanMs, waitFlags } from '../flag-values.ts'
import type { Action, Invocation } from '../invocation.ts'
import { without } from '../kicks-asked.ts'
import { until } from '../moments.ts'
import { peerRemarks } from '../peering.ts'
import { progress } from '../progress.ts'
import { type Begun, changeEach, envNames } from '../several.ts'
import { rollOf } from '../silent-vms.ts'
import { counted, visible } from '../text.ts'

/** How long a VM has to say that it lives. */
const defaultLimitMs = 5000

/** `tt env update NAME…`: any number of changes, by one put for each ENV. */
export const update: Action = {
  operands: [{ name: 'NAME', many: true, of: 'env' }],
  flags: [
    ...editFlags,
    ...keyEditFlags,
    { long: 'time-out', short: 't', also: ['timeout'], value: 'SECONDS', about: 'With --kick-dead: how long a VM may take to answer', default: '5' },
    ...waitFlags('the change holds on every host').filter(({ long }) => long !== 'time-out'),
  ],
  details: [
    'All changes of one call are made together or not at all. Ports, denials and peers change while the VMs run, and hold when the command ends; hardware needs the ENV to be stopped first. Ports and outgoing that are said for all take the place of what was different for single VMs; addresses are added to, or taken from, the list of each.',
    'A time that is over already is refused: nothing dies of a slip. To end an ENV now, delete it. VMs that are taken out give their resources and ports back at once; an ENV without any stays until it ends.',
    '--kick-dead takes out those that neither answered nor were still booting, and only if nothing of the ENV has changed since they were asked.',
  ],
  examples: [
    { line: 'tt env update demo -l +2h', about: 'two hours more from now' },
    { line: 'tt env update demo --until 18:30', about: 'until half past six' },
    { line: 'tt env update web -p 80,443 --deny 10.0.0.0/8', about: 'other public ports, and a network its VMs may not reach' },
    { line: 'tt env update web -m 3 --deny-outgoing', about: 'web.3 may open no connections' },
    { line: 'tt env update web --count micro=10', about: 'ten VMs of micro' },
    { line: 'tt env update web --ssh-key github:ann --ssh-key github:bob', about: 'these keys, and no others, from now on' },
    { line: 'tt env update a b --kick-dead', about: 'take out the VMs that are silent' },
  ],
  async run(invocation) {
    const { given, terminal } = invocation
    const names = envNames(invocation)
    const patience = patienceOf({ ...given, one: (flag) => (flag === 'time-out' ? undefined : given.one(flag)) })
    const limitMs = given.has('time-out') ? spanMs('--time-out', given.one('time-out') ?? '') : defaultLimitMs
    const edit = bothOf(editOf(given, () => terminal.world.now()), await keyEdit(invocation))
    const kicksDead = given.has('kick-dead')
    if (!edit && !kicksDead) fail('invalid', 'nothing to change', { remedy: 'see `tt env update --help`' })
    const cloud = await invocation.cloud()
    await changeEach(invocation, names, {
      cloud,
      patience,
      async ask(name, task) {
        let dead: number[] = []
        const { before, after } = await changedEnv(cloud, name, {
          task,
          call: invocation.call,
          async change(seen) {
            const spec = edit ? edit(seen.spec, seen) : seen.spec
            // Asked anew if the ENV has changed meanwhile: a VM that was made again is another.
            dead = kicksDead ? await silentOf(invocation, cloud, seen, limitMs) : []
            return edit || dead.length > 0 ? askedOf(without(spec, dead), name) : undefined
          },
        })
        return begunOf(invocation, before, after, { task, kicksDead, remarks: await remarksOn(invocation, cloud, before, after) })
      },
    })
  },
}

const bothOf = (one: Edit | undefined, other: Edit | undefined): Edit | undefined => (one && other ? (spec, env) => other(one(spec, env), env) : (one ?? other))

async function silentOf(invocation: Invocation, cloud: Cloud, { name, spec }: Resource<'env'>, limitMs: number): Promise<number[]> {
  if (spec.stopped) fail('not_ready', `ENV ${name} is stopped: none of its VMs could answer`, { subject: `env/${name}`, remedy: `start it first: \`tt env start ${name}\`` })
  await using bar = progress(invocation)
  const { silent, unclear } = await rollOf(cloud, name, { ...invocation, limitMs, progress: bar })
  for (const { vm, problem } of unclear) await invocation.note(`tt: ${vm} could not be asked, and stays: ${problem.message}`)
  return silent
}

/** Also of names that were in the list already: to ask again is to want to know. */
function remarksOn({ given, call }: Invocation, cloud: Cloud, before: Resource<'env'>, after: Resource<'env'>): Promise<string[]> {
  const removed = before.spec.peers.filter((name) => !after.spec.peers.includes(name))
  return peerRemarks(cloud, after, { added: after.spec.peers.filter((name) => given.all('peer').includes(name)), removed, call })
}

/** What the put has changed, as far as the ENV's record says. */
function begunOf({ terminal }: Invocation, before: Resource<'env'>, after: Resource<'env'>, { task, kicksDead, remarks }: { task: string; kicksDead: boolean; remarks: string[] }): Begun {
  const found = differences(before.spec, after.spec)
  const kicked = after.spec.kicked.filter((index) => !before.spec.kicked.includes(index)).map((index) => vmName(after.name, index))
  const made = after.status?.task === task
  const ends = `ends ${until(after.status?.expires, terminal.world.now())}`
  const out = kicked.length > 0 ? `; ${counted(kicked.length, 'VM')} taken out` : kicksDead ? '; no VM is dead' : ''
  return {
    ...(made ? { task } : {}),
    done: `${found.length > 0 ? 'changed' : 'unchanged'}, ${ends}${out}`,
    going: `being changed, ${ends}${out}`,
    lines: [...differenceLines(found, terminal.out.screen()), ...remarks.map((remark) => `  ! ${visible(remark)}`)],
    more: { state: found.length > 0 ? 'changed' : 'unchanged', task: made ? task : null, expires: after.status?.expires ?? null, kicked, remarks },
  }
}
