import type { Delay, Failing } from './options.ts'

/** Chance that follows from a seed alone: the nth question about the same thing has the same answer in every run, whatever is asked in between. */
export interface Dice {
  fails(rule: Failing | undefined, what: string, id: string): boolean
  /** A delay in ms. */
  delayMs(delay: Delay | undefined, what: string, id: string): number
  /** Forgets how often was asked about the id. */
  forget(id: string): void
}

export function dice(seed: number): Dice {
  const asked = new Map<string, Map<string, number>>()
  const nth = (what: string, id: string) => {
    const ofId = asked.get(id) ?? new Map<string, number>()
    const n = (ofId.get(what) ?? 0) + 1
    asked.set(id, ofId.set(what, n))
    return n
  }
  const chance = (what: string, id: string) => fraction(`${seed} ${what} ${id} ${nth(what, id)}`)
  return {
    fails(rule, what, id) {
      if (rule === undefined || rule === 0) return false
      if (typeof rule === 'number') return chance(what, id) < rule
      if (Array.isArray(rule)) return rule.some((pattern) => matches(id, pattern))
      return nth(what, everyone) % rule.every === 0
    },
    delayMs(delay, what, id) {
      if (delay === undefined) return 0
      if (typeof delay === 'number') return delay
      const [least, most] = delay
      return Math.round(least + chance(what, id) * (most - least))
    },
    forget: (id) => void asked.delete(id),
  }
}

const everyone = '*'

function matches(id: string, pattern: string): boolean {
  const pieces = pattern.split('*').map((piece) => piece.replaceAll('.', '\\.'))
  return new RegExp(`^${pieces.join('.*')}$`).test(id)
}

/** A number from 0 to 1 that follows from the text: FNV-1a, its bits mixed as MurmurHash3 ends. */
function fraction(text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32
}
