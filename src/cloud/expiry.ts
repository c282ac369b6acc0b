import { onClockStep } from '../base/clock-steps.ts'
import { Loop } from '../base/loop.ts'
import type { World } from '../base/world.ts'
import { countVms, demandOf, minus, plus } from '../model/expand.ts'
import { type EnvRecord, keys } from '../model/records.ts'
import { follow } from '../store/follow.ts'
import type { Write } from '../store/store.ts'
import { newUid, removal } from './env-put.ts'
import type { LedgerPlan, LedgerState } from './ledger.ts'
import type { EnvParts } from './parts.ts'
import { supersedes, taskOf } from './task-records.ts'
import { expiryOf, phaseOf } from './truth.ts'

const lookAgainMs = 1000

/** Ends every ENV whose time is over, on the second: removes it, or halts it if that is what was asked for. */
export function runExpiry(parts: EnvParts): AsyncDisposable {
  const { store, truth, world, log, ledger } = parts
  const loop = new Loop(
    async (name) => {
      const seen = truth.envs.entry(keys.env(name))
      if (!seen || seen.value.removing !== undefined || seen.value.expired !== undefined) return
      const end = expiryOf(seen.value)
      if (end === undefined) return
      const leftMs = Date.parse(end) - world.now()
      if (leftMs > 0) return leftMs
      // One that has failed is an explanation that holds nothing: there is nothing to halt, and nothing to give back.
      if (seen.value.spec.atEnd === 'stop' && phaseOf(truth, seen.value)?.phase !== 'failed') await ledger.change((state) => haltingPlan(parts, name, state))
      else await store.commit(removal(parts, seen, { limitSeconds: parts.limits.changeSeconds }))
      log.info('ENV expired', { env: name, uid: seen.value.uid })
      return lookAgainMs // It may have failed in the moment it was to be halted.
    },
    { name: 'expiry', world, width: 4, backoffMs: { first: 5, last: 2000 } },
  )
  const stops = [follow(truth.envs, (_key, now) => now && loop.touch(now.name)), onClockStep(world, () => truth.envs.values().forEach(({ name }) => loop.touch(name)))]
  return {
    async [Symbol.asyncDispose]() {
      stops.forEach((stop) => stop())
      await loop[Symbol.asyncDispose]()
    },
  }
}

/** Whether its time is over and nobody has acted on it. */
const isOver = (env: EnvRecord, world: World) => env.removing === undefined && env.expired === undefined && Date.parse(expiryOf(env) ?? '9999-01-01') <= world.now()

/** Halts an ENV whose time is over: its disks, addresses and ports stay until somebody gives it more time or deletes it. */
function haltingPlan({ truth, world, limits }: EnvParts, name: string, state: LedgerState): LedgerPlan | undefined {
  const seen = truth.envs.entry(keys.env(name))
  if (!seen || !isOver(seen.value, world) || phaseOf(truth, seen.value)?.phase === 'failed') return undefined
  const { value: env, revision } = seen
  const now = new Date(world.now()).toISOString()
  const touches = [`env/${name}`]
  if (env.spec.stopped) return { ...state, writes: [{ key: keys.env(name), value: { ...env, expired: now }, expect: revision }], touches }
  const record: EnvRecord = { ...env, expired: now, powered: now, task: newUid(world), spec: { ...env.spec, stopped: true } }
  const task = taskOf(record, { verb: 'stop', state: 'running', now, limitSeconds: limits.changeSeconds, total: countVms(env.spec) })
  const writes: Write[] = [{ key: keys.env(name), value: record, expect: revision }, { key: keys.task(task.id), value: task, expect: 'absent' }, ...supersedes(truth, record, 'stop', now)]
  return { ...state, writes, used: plus(minus(state.used, demandOf(env.spec)), demandOf(record.spec)), touches }
}
