import { background } from '../../../base/background.ts'
import { type Queue, queue } from '../../../base/queue.ts'
import type { Call } from '../../../model/call.ts'
import type { DriverHome } from '../engine.ts'
import { type Guest, guest } from './guest.ts'
import { type Found, guestDir, knownIds } from './guest-dir.ts'
import { cutLog } from './serial-log.ts'

/** The guests that run and this server's connections to them; who watches them is told. Nothing here is truth: it is looked up in `/proc`. */
export interface Holder extends AsyncDisposable {
  /** The living guest of this id: found by its mark now, held from then on. */
  get(id: string): Guest | undefined
  /** Holds a guest that was started just now. */
  add(id: string, found: Found, childEnded: Promise<string>): Guest
  /** How the guest of this id ended, if that was seen. */
  exitOf(id: string): string | undefined
  tell(id: string): void
  watch(call: Call): AsyncIterable<string>
}

/** How long a server that starts waits for guests to answer; those that do not are held all the same. */
const answerMs = 1000
const sweepMs = 2000

/** Takes up every guest the directory knows. */
export async function holder(home: DriverHome, serialKeepBytes: number): Promise<Holder> {
  const { world, log } = home
  const held = new Map<string, Guest>()
  const exits = new Map<string, string>()
  const watchers = new Set<Queue<string>>()
  const works = background((name, fault) => log.error('following a VM failed', { vm: name, fault: String(fault) }))

  const tell = (id: string) => watchers.forEach((watcher) => watcher.push(id))
  const hold = (id: string, found: Found, childEnded?: Promise<string>): Guest => {
    const taken = guest(guestDir(home, id), found, { world, onChange: () => tell(id), childEnded })
    held.set(id, taken)
    exits.delete(id)
    works.run(id, async () => {
      await taken.follow()
      if (taken.exit !== undefined) exits.set(id, taken.exit)
      if (held.get(id) === taken) held.delete(id)
    })
    return taken
  }
  const get = (id: string): Guest | undefined => {
    const found = guestDir(home, id).process()
    const known = held.get(id)
    if (!found) return undefined
    if (known?.process.pid === found.pid && known.process.startTime === found.startTime) return known
    known?.letGo()
    return hold(id, found)
  }

  const keepSmall = (id: string) => {
    const { serialLog, output } = guestDir(home, id)
    try {
      for (const file of [serialLog, output]) cutLog(file, serialKeepBytes)
    } catch (fault) {
      log.warn('the log of a VM cannot be kept small', { vm: id, fault: String(fault) })
    }
  }

  const alive = knownIds(home.dir).flatMap((id) => get(id) ?? [])
  const answered = Promise.allSettled(alive.map(({ ready }) => ready))
  if (alive.length > 0) await Promise.race([answered, world.sleep(answerMs)])
  works.run('logs', async (signal) => {
    for (;;) {
      await world.sleep(sweepMs, signal)
      for (const id of held.keys()) keepSmall(id)
    }
  })
  return {
    get,
    add: hold,
    exitOf: (id) => exits.get(id),
    tell,
    watch({ signal }) {
      const watcher = queue<string>(signal)
      watchers.add(watcher)
      signal?.addEventListener('abort', () => watchers.delete(watcher), { once: true })
      return watcher
    },
    async [Symbol.asyncDispose]() {
      for (const one of held.values()) one.letGo()
      for (const watcher of watchers) watcher.end()
      await works[Symbol.asyncDispose]()
    },
  }
}
