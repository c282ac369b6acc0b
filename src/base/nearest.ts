/** The candidate that a misspelt word most likely meant, or undefined if none is near enough to be worth a hint. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const wanted = word.toLowerCase().slice(0, 64)
  const reach = Math.max(1, Math.floor(wanted.length / 3))
  let best: string | undefined
  let least = Infinity
  for (const candidate of candidates) {
    const name = candidate.toLowerCase()
    const begins = wanted.length >= 2 && name.startsWith(wanted)
    const steps = begins ? 0.5 : distance(wanted, name)
    if ((begins || steps <= reach) && steps < least) {
      best = candidate
      least = steps
    }
  }
  return best
}

/** Letters to insert, drop, change or swap with their neighbour to make one word the other (optimal string alignment). */
function distance(a: string, b: string): number {
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      let steps = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, change)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) steps = Math.min(steps, (before[j - 2] ?? 0) + 1)
      row.push(steps)
    }
    before = last
    last = row
  }
  return last[b.length] ?? 0
}
