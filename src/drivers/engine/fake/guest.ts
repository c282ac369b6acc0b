import type { Behaviour } from './options.ts'

/** All that is kept of a fake guest: what it is, and when it ran. What it is doing and what it has printed follow from that and the clock. */
export interface Guest {
  hostname: string
  cpu: number
  memMb: number
  /** The last few, the newest at the end. */
  runs: Run[]
  /** Only what its plan says about itself. */
  options?: Behaviour
}

/** Times are in ms since 1970. */
export interface Run {
  from: number
  /** From when on it takes commands. */
  ready: number
  /** When it ended, or will end by itself. */
  until?: number
  exit?: string
}

/** The run that goes on at this time. */
export function runOf(guest: Guest | undefined, now: number): Run | undefined {
  const last = guest?.runs.at(-1)
  return last && (last.until === undefined || now < last.until) ? last : undefined
}

const runsKept = 8

/** The guest with one more run. */
export const started = (guest: Guest, run: Run): Guest => ({ ...guest, runs: [...guest.runs, run].slice(-runsKept) })

/** The guest with its last run ended. */
export const ended = (guest: Guest, until: number, exit: string): Guest => ({ ...guest, runs: guest.runs.with(-1, { ...guest.runs.at(-1)!, until, exit }) })

/** What the guest printed in all its runs until now, the newest `limitBytes`. */
export function printed(guest: Guest, now: number, limitBytes: number): string {
  let text = ''
  for (const run of guest.runs.toReversed()) {
    // Looking back in growing steps, so that a guest of many days costs no more than one of an hour.
    for (let span = 60_000, to = now; text.length < limitBytes && to >= run.from; to -= span, span *= 2) text = printedBetween(guest, run, { from: to - span, to }) + text
  }
  return limitBytes < text.length ? text.slice(text.length - limitBytes) : text
}

const aliveEveryMs = 1000

/** What the guest printed after `from` and up to `to`, the first moment of a run included if `from` lies before it. ASCII only. */
export function printedBetween(guest: Guest, run: Run, { from, to }: { from: number; to: number }): string {
  const within = (at: number) => at > from && at <= to
  const over = run.until ?? Infinity
  const name = `fake-guest ${guest.hostname}`
  const lines: string[] = []
  if (within(run.from)) lines.push(`${name}: begins with ${guest.cpu} cpu and ${guest.memMb} MB, all of them fake`)
  if (within(run.ready) && run.ready < over) lines.push(`${name}: ready`)
  const first = Math.max(1, Math.floor((from - run.ready) / aliveEveryMs) + 1)
  const last = Math.floor((Math.min(to, over - 1) - run.ready) / aliveEveryMs)
  for (let second = first; second <= last; second++) lines.push(`${name}: alive for ${second} s`)
  if (within(over)) lines.push(`${name}: ${run.exit ?? 'ended by itself'}`)
  return lines.map((line) => `${line}\r\n`).join('')
}

/** When the guest prints next. */
export function nextPrint(run: Run, now: number): number {
  if (now < run.ready) return run.ready
  return run.ready + (Math.floor((now - run.ready) / aliveEveryMs) + 1) * aliveEveryMs
}
