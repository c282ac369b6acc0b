import { type Estimate, median, medianOf, ratioOf, summary, type Summary } from './statistics.ts'

/** A number the project claims, and what it is to be: `step` now, `goal` in the end. */
export interface Claim {
  name: string
  /** Which way is good; `less` unless said otherwise. */
  better?: 'less' | 'more'
  step?: number
  goal?: number
}

export type Unit = 'ms' | 's' | 'MB' | '%' | '/s' | 'MiB/s'

/** One of the two things that were measured. */
export interface Side {
  what: string
  unit: Unit
  samples: readonly number[]
  /** Medians of the parts it is made of, where they were seen. */
  parts?: Record<string, number>
}

/** A claim as it was found to be. */
export interface Finding extends Estimate {
  name: string
  /** Of the number that is judged: `x` is a ratio. */
  unit: Unit | 'x'
  better: 'less' | 'more'
  step?: number
  goal?: number
  verdict: Verdict
  ours: Measured
  /** The same thing done without us, measured in between. */
  peer?: Measured
}

export type Verdict = 'goal reached' | 'step reached' | 'NOT REACHED' | 'for information'

export type Measured = Omit<Side, 'samples'> & Summary & { samples: readonly number[] }

/** How many times the peer's median ours takes; with `better: 'more'` how many times faster ours is. */
export function ratioFinding(claim: Claim, ours: Side, peer: Side): Finding {
  const ratio = claim.better === 'more' ? ratioOf(peer.samples, ours.samples) : ratioOf(ours.samples, peer.samples)
  return found(claim, { ...ratio, unit: 'x' }, { ours, peer })
}

/** The median of ours, or another of its numbers, as it is. The peer stands beside it and is not judged. */
export function amountFinding(claim: Claim, ours: Side, { peer, judged = 'median' }: { peer?: Side; judged?: 'median' | 'p99' } = {}): Finding {
  const estimate = judged === 'median' ? medianOf(ours.samples) : tailOf(ours.samples)
  return found(claim, { ...estimate, unit: ours.unit }, { ours, ...(peer ? { peer } : {}) })
}

/** The range of a 99th percentile is not worth guessing from few samples: from the median to the worst. */
const tailOf = (samples: readonly number[]): Estimate => {
  const { p99, max } = summary(samples)
  return { value: p99, low: median(samples), high: max }
}

function found(claim: Claim, number: Estimate & { unit: Finding['unit'] }, sides: { ours: Side; peer?: Side }): Finding {
  const { name, better = 'less', step, goal } = claim
  return { name, better, ...(step === undefined ? {} : { step }), ...(goal === undefined ? {} : { goal }), ...number, verdict: verdictOf(claim, number.value), ours: measured(sides.ours), ...(sides.peer ? { peer: measured(sides.peer) } : {}) }
}

const measured = (side: Side): Measured => ({ ...side, ...summary(side.samples) })

export function verdictOf({ better = 'less', step, goal }: Omit<Claim, 'name'>, value: number): Verdict {
  const holds = (bound: number) => (better === 'less' ? value <= bound : value >= bound)
  if (goal !== undefined && holds(goal)) return 'goal reached'
  if (step !== undefined && holds(step)) return 'step reached'
  return step === undefined && goal === undefined ? 'for information' : 'NOT REACHED'
}
