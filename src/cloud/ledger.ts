import { batcher } from '../base/queue.ts'
import type { World } from '../base/world.ts'
import type { Call } from '../model/call.ts'
import { type Demand, nothing } from '../model/expand.ts'
import { keys } from '../model/records.ts'
import type { Store, Write } from '../store/store.ts'
import { retried } from './retried.ts'
import type { Truth } from './truth.ts'

/** What is planned so far in one commit. */
export interface LedgerState {
  /** What all ENVs ask for. */
  used: Demand
  /** ENVs in the making. */
  creating: number
}

export interface LedgerPlan extends LedgerState {
  writes: Write[]
  /** What must not be touched by another plan of the same commit, because that one would be made without knowing of this: `env/demo`, `owner/ann`. */
  touches: string[]
  /** What it counts on as it is; other plans may do so too, none may touch it. */
  leans?: string[]
}

/** Given the state, what is to be done; undefined for nothing. Refuses by throwing. Pure: it is asked again after a lost race. */
export type Planner = (state: LedgerState) => LedgerPlan | undefined

/**
 * The only way to change what ENVs ask for. Each change is checked against the sum of all and commits with it, by compare-and-set, so that two
 * servers at once cannot over-book; changes of this server that come together are one commit.
 */
export interface Ledger {
  change(plan: Planner, call?: Call): Promise<void>
}

/** Plans of one commit: few enough that a lost race costs little. */
const perCommit = 128

type Outcome = 'done' | 'again' | { refused: unknown }

export function ledger({ store, truth, world }: { store: Store; truth: Truth; world: World }): Ledger {
  const batch = batcher<Planner, Outcome>(async (planners) => {
    const seen = truth.ledger.entry(keys.ledger)
    await truth.reached(seen?.revision ?? 0) // Every change writes the ledger: so all that were before this one are seen.
    let state: LedgerState = { used: seen?.value ?? nothing, creating: truth.openTasks.creating }
    const touched = new Set<string>()
    const leant = new Set<string>()
    const writes: Write[] = []
    const outcomes = planners.map((plan): Outcome => {
      try {
        const planned = plan(state)
        if (!planned) return 'done'
        const { touches, leans = [] } = planned
        if (touches.some((what) => touched.has(what) || leant.has(what)) || leans.some((what) => touched.has(what))) return 'again'
        touches.forEach((what) => touched.add(what))
        leans.forEach((what) => leant.add(what))
        writes.push(...planned.writes)
        state = planned
        return 'done'
      } catch (refused) {
        return { refused }
      }
    })
    if (writes.length > 0) await truth.reached(await store.commit([...writes, { key: keys.ledger, value: state.used, expect: seen?.revision ?? 'absent' }]))
    return outcomes
  }, perCommit)
  const attempt = async (plan: Planner): Promise<void> => {
    for (;;) {
      const outcome = await batch.add(plan)
      if (outcome === 'done') return
      if (outcome !== 'again') throw outcome.refused
    }
  }
  return { change: (plan, call) => retried(world, () => attempt(plan), call) }
}
