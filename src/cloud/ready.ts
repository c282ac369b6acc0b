import { Loop } from '../base/loop.ts'
import type { Problem } from '../model/errors.ts'
import { countVms, demandOf, expand, expandOne, minus } from '../model/expand.ts'
import { parseVmId, vmName } from '../model/names.ts'
import { type EnvRecord, keys, type PhaseRecord } from '../model/records.ts'
import { duration } from '../model/units.ts'
import type { ViewEntry } from '../store/view.ts'
import { listen } from './env-listening.ts'
import { onlineHosts } from './facts.ts'
import type { EnvParts } from './parts.ts'
import { phaseOf, shownProblems, type Truth } from './truth.ts'

/** How long a failed ENV stays to be read, in seconds. */
const tombstoneSeconds = 3600

/**
 * Takes every ENV through its phases: `creating` to `ready` or `failed`, and out of the store once its hosts hold nothing of it. The
 * only writer of phases.
 */
export function runPhases(parts: EnvParts): AsyncDisposable {
  const { truth, world, log } = parts
  const loop = new Loop((name) => turn(parts, name), {
    name: 'phases',
    world,
    width: 8,
    backoffMs: { first: 5, last: 2000 },
    onFault: (env, fault, tries) => (tries > 3 ? log.warn('the phase of an ENV could not be written', { env, fault: String(fault), tries }) : undefined),
  })
  const stop = listen(truth, (name) => loop.touch(name))
  return {
    async [Symbol.asyncDispose]() {
      stop()
      await loop[Symbol.asyncDispose]()
    },
  }
}

async function turn(parts: EnvParts, name: string): Promise<number | void> {
  const { truth } = parts
  // The claims and VMs it decides by must be no older than the ENV and its phase.
  await truth.reached(Math.max(truth.envs.entry(keys.env(name))?.revision ?? 0, truth.phases.entry(keys.phase(name))?.revision ?? 0))
  const seen = truth.envs.entry(keys.env(name))
  if (!seen) return
  if (seen.value.removing !== undefined) return removeIfEmpty(parts, seen)
  const phase = phaseOf(truth, seen.value)
  if (phase === undefined || phase.phase === 'creating') return judge(parts, seen.value)
  if (phase.phase === 'failed') return bury(parts, seen, phase)
}

async function removeIfEmpty({ truth, ledger, log }: EnvParts, { value: { name, uid } }: ViewEntry<EnvRecord>): Promise<void> {
  if (truth.tally.of(uid).claimed > 0) return
  let gone = false
  await ledger.change((state) => {
    const seen = truth.envs.entry(keys.env(name))
    gone = seen?.value.uid === uid && truth.tally.of(uid).claimed === 0
    if (!seen || !gone) return undefined
    const released = phaseOf(truth, seen.value)?.released === true
    return {
      ...state,
      writes: [
        { key: keys.env(name), value: null, expect: seen.revision },
        { key: keys.phase(name), value: null, expect: truth.phases.entry(keys.phase(name))?.revision ?? 'absent' },
      ],
      used: released ? state.used : minus(state.used, demandOf(seen.value.spec)),
      touches: [`env/${name}`],
    }
  })
  if (gone) log.info('ENV removed', { env: name, uid })
}

async function judge(parts: EnvParts, env: EnvRecord): Promise<number | void> {
  const { truth, world } = parts
  const phase = phaseOf(truth, env)
  if (phase?.held) return // Its task is in the queue.
  const { ready, failed } = truth.tally.of(env.uid)
  const lost = [...failed].map((id) => parseVmId(id)?.index ?? 0).filter((index) => expandOne(env, index))
  if (lost.length > 0) return settle(parts, env, { phase: 'failed', ...reasons(truth, env, lost) })
  const wanted = env.spec.stopped ? 0 : countVms(env.spec)
  // Among them may be VMs it has lost meanwhile: once it looks as if they were enough, those that are wanted are counted one by one.
  if (ready >= wanted && (wanted === 0 || readyOf(truth, env) >= wanted)) return settle(parts, env, { phase: 'ready' })
  const leftMs = Date.parse(phase?.since ?? env.created) + env.spec.deadlineSeconds * 1000 - world.now()
  if (leftMs > 0) return leftMs
  const late = [...expand(env)].filter((vm) => truth.vms.get(keys.vm(vm.id))?.state !== 'ready')
  return settle(parts, env, { phase: 'failed', ...reasons(truth, env, late.map(({ index }) => index)) })
}

function readyOf(truth: Truth, env: EnvRecord): number {
  let ready = 0
  for (const vm of expand(env)) if (truth.vms.get(keys.vm(vm.id))?.state === 'ready') ready++
  return ready
}

async function settle({ store, truth, world, log }: EnvParts, env: EnvRecord, to: Pick<PhaseRecord, 'phase' | 'problems' | 'more'>): Promise<void> {
  const record: PhaseRecord = { uid: env.uid, since: new Date(world.now()).toISOString(), ...to }
  const seen = truth.phases.entry(keys.phase(env.name))
  await store.commit([
    { key: keys.env(env.name), expect: truth.envs.entry(keys.env(env.name))?.revision ?? 'absent' },
    { key: keys.phase(env.name), value: record, expect: seen?.revision ?? 'absent' },
  ])
  log.info(`ENV ${to.phase}`, { env: env.name, uid: env.uid, ...(to.problems ? { first: to.problems[0]?.problem.message } : {}) })
}

/** Why each of these VMs is not ready, the first few. */
function reasons(truth: Truth, env: EnvRecord, indices: number[]): Pick<PhaseRecord, 'problems' | 'more'> {
  const first = indices.sort((a, b) => a - b).slice(0, shownProblems)
  const problems = first.map((index) => ({ vm: vmName(env.name, index), problem: reason(truth, env, index) }))
  return { problems, ...(indices.length > first.length ? { more: indices.length - first.length } : {}) }
}

function reason(truth: Truth, env: EnvRecord, index: number): Problem {
  const subject = `vm/${vmName(env.name, index)}`
  const id = `${env.uid}.${index}`
  const record = truth.vms.get(keys.vm(id))
  if (record?.problem) return { ...record.problem, subject }
  const within = `within ${duration(env.spec.deadlineSeconds)}`
  if (record?.state === 'booting') return { code: 'timeout', message: `the guest did not answer ${within}`, subject, remedy: `see what it printed: \`tt env logs ${env.name} -m ${index}\`` }
  if (record) return { code: 'timeout', message: `it was not running ${within}: it is ${record.state}`, subject }
  if (onlineHosts(truth).length === 0) return { code: 'unavailable', message: `no host claimed it ${within}: none is online`, subject }
  return { code: 'exhausted', message: `no host claimed it ${within}: none has both its engine and room for it`, subject, remedy: 'see `tt status --server`' }
}

/** A failed ENV gives its resources back once its hosts hold nothing, and is forgotten after an hour. */
async function bury({ store, truth, world, ledger }: EnvParts, { value: env, revision }: ViewEntry<EnvRecord>, phase: PhaseRecord): Promise<number | void> {
  if (truth.tally.of(env.uid).claimed > 0) return
  if (!phase.released) {
    return ledger.change((state) => {
      const known = truth.phases.entry(keys.phase(env.name))
      const current = truth.envs.get(keys.env(env.name))
      if (current?.uid !== env.uid || known?.value.uid !== env.uid || known.value.released) return undefined
      return { ...state, writes: [{ key: keys.phase(env.name), value: { ...known.value, released: true }, expect: known.revision }], used: minus(state.used, demandOf(current.spec)), touches: [`env/${env.name}`] }
    })
  }
  const leftMs = Date.parse(phase.since) + tombstoneSeconds * 1000 - world.now()
  if (leftMs > 0) return leftMs
  await store.commit([{ key: keys.env(env.name), value: { ...env, removing: new Date(world.now()).toISOString() }, expect: revision }])
}
