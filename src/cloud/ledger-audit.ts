import { type Demand, demandOf, nothing, plus } from '../model/expand.ts'
import { keys } from '../model/records.ts'
import type { EnvParts } from './parts.ts'
import { retried } from './retried.ts'
import { phaseOf, type Truth } from './truth.ts'

/** What all ENVs ask for together: what the ledger is to say. */
export const wantedSum = (truth: Truth): Demand => truth.envs.values().reduce((sum, env) => (phaseOf(truth, env)?.released ? sum : plus(sum, demandOf(env.spec))), nothing)

/** Sets the ledger to the sum over all ENV records: at start, so that no fault of an earlier version lives on. */
export const auditLedger = ({ store, truth, world, log }: EnvParts): Promise<void> =>
  retried(world, async () => {
    const seen = truth.ledger.entry(keys.ledger)
    await truth.reached(seen?.revision ?? 0)
    const sum = wantedSum(truth)
    if (JSON.stringify(seen?.value ?? nothing) === JSON.stringify(sum)) return
    const revision = await store.commit([{ key: keys.ledger, value: sum, expect: seen?.revision ?? 'absent' }])
    log.warn('the ledger did not match the ENVs and was set right', { was: seen?.value, is: sum })
    await truth.reached(revision)
  })
