import type { World } from './world.ts'

/** How late the event loop runs what is due: what every request waits for before anybody looks at it. */
export interface Lag extends Disposable {
  /** Looks so far, and the seconds they were late in all. */
  readonly looks: number
  readonly seconds: number
  /** The worst of the last minute, in seconds. */
  worst(): number
}

const everyMs = 1000
const remembered = 60

/** Looks once a second: one short timer, so that an idle server stays idle. */
export function lag(world: World): Lag {
  const last: number[] = []
  let looks = 0
  let seconds = 0
  let stop = () => {}
  const look = () => {
    const due = world.ticks() + everyMs
    stop = world.after(everyMs, () => {
      const late = Math.max(0, world.ticks() - due) / 1000
      looks++
      seconds += late
      last.push(late)
      if (last.length > remembered) last.shift()
      look()
    })
  }
  look()
  return {
    get looks() {
      return looks
    },
    get seconds() {
      return seconds
    },
    worst: () => Math.max(0, ...last),
    [Symbol.dispose]: () => stop(),
  }
}
