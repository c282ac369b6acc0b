import fc from 'fast-check'
import { answers } from '../thread.ts'
import { type DayOutcome, liveDay, type Op } from './day.ts'
import { operations } from './operations.ts'

/** A day to live: one that follows from the seed, or the operations themselves. */
export interface Asked {
  seed: number
  steps: number
  ops?: Op[]
  /** How long a failure may be made smaller. */
  shrinkMs: number
}

export interface Lived extends DayOutcome {
  /** After a failure, the fewest operations that were found to fail still, and what they end in. */
  shrunk?: { ops: Op[]; told: string[]; why: string }
}

const number = fc.nat(9999)
const operation: fc.Arbitrary<Op> = fc.record({
  name: fc.oneof(...Object.entries(operations).map(([name, { weight }]) => ({ weight, arbitrary: fc.constant(name) }))),
  user: fc.nat(2),
  pick: number,
  a: number,
  b: number,
  c: number,
  waitMs: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 4, arbitrary: fc.nat(500) }, { weight: 4, arbitrary: fc.nat(5000) }, { weight: 3, arbitrary: fc.nat(120_000) }),
})

export const opsOf = (seed: number, steps: number): Op[] => fc.sample(operation, { seed, numRuns: steps })

async function lived({ seed, steps, ops = opsOf(seed, steps), shrinkMs }: Asked): Promise<Lived> {
  const outcome = await liveDay(ops, seed)
  if (!outcome.failure) return outcome
  return { ...outcome, shrunk: await smaller(ops.slice(0, outcome.failure.at + 1), { seed, endMs: performance.now() + shrinkMs }) }
}

/** What is wrong, without names and numbers: while a day is made smaller it is to fail for the same reason. */
const kindOf = (why = '') => why.split(';')[0]?.replaceAll(/\b(e?\d[\w.]*|ann|bob|cid)\b/g, '…')

/** Leaves out ever smaller pieces as long as what is left still fails alike, until the time is over or nothing more can go. */
async function smaller(ops: readonly Op[], { seed, endMs }: { seed: number; endMs: number }): Promise<NonNullable<Lived['shrunk']>> {
  let best = [...ops]
  let last = await liveDay(best, seed)
  const kind = kindOf(last.failure?.why)
  /** One pass over all pieces of a size; whether anything could go. */
  const leaveOut = async (size: number): Promise<boolean> => {
    const before = best.length
    for (let from = Math.max(0, best.length - 1 - size); performance.now() < endMs; from -= size) {
      const tried = await liveDay(best.toSpliced(Math.max(0, from), size), seed)
      if (tried.failure && kindOf(tried.failure.why) === kind) {
        best = best.toSpliced(Math.max(0, from), size).slice(0, tried.failure.at + 1)
        last = tried
      }
      if (from <= 0) break
    }
    return best.length < before
  }
  for (let size = Math.ceil(best.length / 2); size >= 1; size = Math.floor(size / 2)) await leaveOut(size)
  while (performance.now() < endMs && (await leaveOut(1))) continue
  return { ops: best, told: last.told, why: last.failure?.why ?? 'it does not fail when it is lived again' }
}

answers(lived)
