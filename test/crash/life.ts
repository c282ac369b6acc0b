import type { CrashPoint, Effect, Effects } from '../../src/base/effects.ts'
import type { World } from '../../src/base/world.ts'
import type { Store } from '../../src/store/store.ts'

/** Where a life ends: right before or right after its effect number `at`, or never. */
export interface Fate {
  at: number
  side: Parameters<CrashPoint>[1]
}

/** One life of a server in this process: what it does to the machine and the store, and its time, end all at once and without a last word. */
export interface Life {
  world: World
  effects: Effects
  /** The store as this life sees it: each commit is an effect like those of the machine. */
  over(store: Store): Store
  readonly dead: boolean
  /** Resolves with the effect at which it died. */
  died: Promise<Effect>
  /** Ends it here, as a kill from outside would. */
  kill(): void
}

/**
 * A life that ends as `kill -9` ends a process: nothing it began goes on, its timers do not ring, what it waits for never comes. The objects of the
 * dead are dropped, not disposed.
 */
export function life(world: World, fate?: Fate): Life {
  const { promise: died, resolve } = Promise.withResolvers<Effect>()
  let dead = false
  let count = 0
  const die = (effect: Effect) => {
    dead = true
    resolve(effect)
  }
  const living = <T>(work: Promise<T>): Promise<T> =>
    new Promise((tell, refuse) => {
      work.then(
        (value) => dead || tell(value),
        (fault: unknown) => dead || refuse(fault),
      )
    })
  const effects: Effects = {
    get count() {
      return count
    },
    act<T>(effect: Effect, run: () => T): T {
      if (dead) throw new Error('the server is dead')
      const mine = ++count === fate?.at ? fate.side : undefined
      if (mine === 'before') die(effect)
      if (dead) throw new Error('the server is dead')
      const done = run()
      if (done instanceof Promise) {
        if (mine === 'after') done.then(() => die(effect), () => die(effect))
        return living(done) as T
      }
      if (mine !== 'after') return done
      die(effect)
      throw new Error('the server is dead')
    },
  }
  return {
    effects,
    died,
    get dead() {
      return dead
    },
    kill: () => die({ kind: 'process', verb: 'remove', subject: 'the server' }),
    world: {
      now: () => world.now(),
      ticks: () => world.ticks(),
      random: (bytes) => world.random(bytes),
      breathe: () => living(world.breathe()),
      sleep: (ms, signal) => living(world.sleep(ms, signal)),
      after: (ms, run) => world.after(ms, () => dead || run()),
    },
    over: (store) => ({
      ...store,
      get: (key, call) => living(store.get(key, call)),
      list: (prefix, call) => living(store.list(prefix, call)),
      async commit(writes, call) {
        try {
          return await effects.act({ kind: 'store', verb: 'change', subject: writes.map(({ key }) => key).join(' ') }, () => store.commit(writes, call))
        } catch (fault) {
          return living(Promise.reject(fault))
        }
      },
    }),
  }
}
