import type { World } from './world.ts'

const lookMs = 10_000
/** Less is a clock that is being slewed, or a process that had no turn between its two looks. */
const stepMs = 500

/**
 * Calls back when the wall clock was set, or went on while the machine slept: what waits for a moment of that clock has to look at it again, as
 * timers count what they were told. Noticed within ten seconds. The returned function ends it.
 */
export function onClockStep(world: World, run: () => void): () => void {
  const offset = () => world.now() - world.ticks()
  let known = offset()
  let stop: () => void
  const look = () => {
    const now = offset()
    if (Math.abs(now - known) > stepMs) run()
    known = now
    stop = world.after(lookMs, look)
  }
  stop = world.after(lookMs, look)
  return () => stop()
}
