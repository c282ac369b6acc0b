import type { World } from './world.ts'

/** What one share of the work should take at most, so that requests are answered between them. */
const shareMs = 12

/**
 * Lets many go on a few at a time: ten thousand VMs of an engine that waits for nothing would otherwise be one step of the process, in which
 * nobody else is heard. The share follows the time it takes.
 */
export function breather(world: World): () => Promise<void> {
  let waiting: (() => void)[] = []
  let share = 16
  let running = false
  const drain = async () => {
    running = true
    while (waiting.length > 0) {
      const begun = world.ticks()
      const now = waiting.slice(0, share)
      waiting = waiting.slice(share)
      for (const go of now) go()
      await world.breathe()
      const tookMs = world.ticks() - begun
      if (tookMs > shareMs) share = Math.max(1, share >> 1)
      else if (tookMs < shareMs / 2) share = Math.min(256, share * 2)
    }
    running = false
  }
  return () =>
    new Promise((resolve) => {
      waiting.push(resolve)
      if (!running) void drain()
    })
}
