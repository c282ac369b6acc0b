import { setTimeout as sleep } from 'node:timers/promises'
import type { Ground } from './bench.ts'

export const ticks = (): number => performance.now()

/** Milliseconds the work took. */
export async function msOf(work: () => Promise<unknown>): Promise<number> {
  const begun = ticks()
  await work()
  return ticks() - begun
}

/** Measurements of both sides, number by number from the same moments. */
export interface Pairs {
  ours: number[]
  peer: number[]
}

export interface Both {
  /** Does its work, with everything around it, and gives the number that counts. */
  ours(round: number): Promise<number>
  peer(round: number): Promise<number>
}

/** Measures one after the other, in turns, so that what the machine does meanwhile meets both. The first rounds, one unless said otherwise, warm up and are not counted. */
export async function inPairs(ground: Ground, both: Both, { rounds, warmUps = 1, restMs = 0 }: { rounds: number; warmUps?: number; restMs?: number }): Promise<Pairs> {
  const pairs: Pairs = { ours: [], peer: [] }
  const one = async (side: 'ours' | 'peer', round: number) => {
    ground.signal.throwIfAborted()
    const value = await both[side](round)
    if (round >= 0) pairs[side].push(value)
    if (restMs > 0) await sleep(restMs, undefined, { signal: ground.signal })
  }
  for (let round = -warmUps; round < rounds; round++) {
    await one('ours', round)
    await one('peer', round)
  }
  return pairs
}

/** Measures one thing so often; a first round is not counted. */
export async function inTurn(ground: Ground, rounds: number, work: () => Promise<number>): Promise<number[]> {
  const values: number[] = []
  for (let round = -1; round < rounds; round++) {
    ground.signal.throwIfAborted()
    const value = await work()
    if (round >= 0) values.push(value)
  }
  return values
}

/** Times of the parts of a work that is measured again and again. */
export function partTimes() {
  const samples = new Map<string, number[]>()
  return {
    add(parts: Record<string, number>) {
      for (const [name, ms] of Object.entries(parts)) samples.set(name, [...(samples.get(name) ?? []), ms])
    },
    /** Without the first, which warmed up. */
    medians: (): Record<string, number> =>
      Object.fromEntries([...samples].map(([name, all]) => {
        const values = all.slice(1).sort((a, b) => a - b)
        return [name, values[values.length >> 1] ?? 0]
      })),
  }
}
