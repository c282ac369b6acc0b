/** What many measurements of one thing say together. */
export interface Summary {
  n: number
  median: number
  p10: number
  p90: number
  p99: number
  min: number
  max: number
}

export function summary(values: readonly number[]): Summary {
  if (values.length === 0) throw new Error('nothing was measured')
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number) => quantile(sorted, share)
  return { n: values.length, median: at(0.5), p10: at(0.1), p90: at(0.9), p99: at(0.99), min: at(0), max: at(1) }
}

export const median = (values: readonly number[]): number => summary(values).median

/** Between two neighbours the value lies on the line between them. */
function quantile(sorted: readonly number[], share: number): number {
  const place = (sorted.length - 1) * share
  const below = sorted[Math.floor(place)] ?? 0
  const above = sorted[Math.ceil(place)] ?? below
  return below + (above - below) * (place - Math.floor(place))
}

/** A number with the range in which it lies with 95 % of certainty. */
export interface Estimate {
  value: number
  low: number
  high: number
}

const redraws = 2000

/** The ratio of two medians, of measurements taken in pairs; its range by drawing pairs anew (bootstrap). Same pairs, same answer. */
export function ratioOf(above: readonly number[], below: readonly number[]): Estimate {
  if (above.length !== below.length) throw new Error(`${above.length} and ${below.length} measurements are no pairs`)
  const draw = dice(above.length)
  const drawn = Array.from({ length: redraws }, () => {
    const pairs = above.map(draw)
    return median(pairs.map((at) => above[at] ?? 0)) / median(pairs.map((at) => below[at] ?? 0))
  })
  return { value: median(above) / median(below), ...middle(drawn) }
}

/** A median with the range in which it lies, in the same way. */
export function medianOf(values: readonly number[]): Estimate {
  const draw = dice(values.length)
  return { value: median(values), ...middle(Array.from({ length: redraws }, () => median(values.map(() => values[draw()] ?? 0)))) }
}

function middle(drawn: readonly number[]): { low: number; high: number } {
  const sorted = drawn.toSorted((a, b) => a - b)
  return { low: quantile(sorted, 0.025), high: quantile(sorted, 0.975) }
}

/** Whole numbers below `sides`, the same in every run: a linear congruential generator with the numbers of Numerical Recipes. */
function dice(sides: number): () => number {
  let state = 1
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * sides)
  }
}
