import assert from 'node:assert/strict'
import { relative } from 'node:path'
import type { Fate } from './life.ts'
import type { Played } from './play.ts'

/** A way to play a scenario: which, where the server dies, and where the one dies that was to put things right after it. */
export interface Point {
  scenario: string
  fates: Fate[]
}

export const sides = ['before', 'after'] as const

/** The point that was asked for alone: `TT_CRASH_POINT='patient 17:before'`, or `'patient 17:before 3:after'`. */
export const asked = process.env['TT_CRASH_POINT']

const textOf = ({ scenario, fates }: Point) => [scenario, ...fates.map(({ at, side }) => `${at}:${side}`)].join(' ')

export function pointOf(text: string): Point {
  const [scenario = '', ...fates] = text.split(' ')
  return { scenario, fates: fates.map((one) => ({ at: Number(one.split(':')[0]), side: one.endsWith('before') ? 'before' : 'after' })) }
}

/** Both sides of every effect of a run that had so many. */
export const pointsOf = (scenario: string, effects: number): Point[] => Array.from({ length: effects }, (_, at) => sides.map((side) => ({ scenario, fates: [{ at: at + 1, side }] }))).flat()

/** So many of the points, all over the run and the same in every run of the test. */
export function sample(points: readonly Point[], count: number): Point[] {
  const step = points.length / count
  return Array.from({ length: Math.min(count, points.length) }, (_, at) => points[Math.floor(at * Math.max(1, step) + ((at * 7) % 5) / 5)] as Point)
}

export interface SweepOptions {
  /** The test file, to say how a point is tried again. */
  file: string
  /** Each plays one point at a time. */
  players: readonly { ask(point: Point): Promise<Played> }[]
  /** In real time the effects are not the same in every run, and a server may end its work before its point has come. */
  mayLive?: boolean
}

/** Plays every point and tells of all that went wrong, and how to see it again. */
export async function sweep(points: readonly Point[], { file, players, mayLive = false }: SweepOptions): Promise<Played[]> {
  assert.ok(points.length > 0, 'there is no point to try')
  const played: Played[] = []
  const wrong: string[] = []
  const left = [...points]
  const work = async (player: SweepOptions['players'][number]) => {
    for (let point = left.shift(); point; point = left.shift()) {
      try {
        const one = await player.ask(point)
        assert.ok(mayLive || !one.lived, 'it lived on: there are fewer effects than in the run they were counted in')
        played.push(one)
      } catch (fault) {
        wrong.push(`${textOf(point)}: ${(fault as Error).message}\n    again: TT_CRASH_POINT='${textOf(point)}' npm test -- ${relative(process.cwd(), file)}`)
      }
    }
  }
  await Promise.all(players.map(work))
  assert.ok(wrong.length === 0, `${wrong.length} of ${points.length} points are not survived:\n  ${wrong.slice(0, 10).join('\n  ')}`)
  return played
}

/** For the last lines of a test: how many died during which step, and the longest time until all was right again. */
export function summary(played: readonly Played[]): string {
  const steps = Map.groupBy(played.filter(({ lived }) => !lived), ({ step }) => step)
  const lived = played.filter((one) => one.lived).length
  const longest = Math.max(...played.map(({ recoveryMs }) => recoveryMs)) / 1000
  return `${played.length} points; killed during ${[...steps].map(([step, ones]) => `${step} ${ones.length}`).join(', ')}${lived > 0 ? `; ${lived} lived on` : ''}; the longest recovery took ${longest.toFixed(1)} s`
}
