import type { Finding } from './finding.ts'

/** A set of numbers that are measured together. Adding one is a file with a `Bench` and a line in `list.ts`. */
export interface Bench {
  name: string
  about: string
  run(ground: Ground): Promise<Finding[]>
}

/** Where a bench works: a network namespace of its own, a directory of its own, nothing left behind. */
export interface Ground {
  dir: string
  /** Fewer rounds: for looking whether it works, not for numbers to quote. */
  quick: boolean
  /** Aborts when somebody wants the run to end. */
  signal: AbortSignal
  say(text: string): void
}

/** How often to measure: as asked, or a quarter of it and three at least. */
export const roundsOf = ({ quick }: Ground, full: number): number => (quick ? Math.max(3, Math.ceil(full / 4)) : full)
