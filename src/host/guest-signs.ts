import { deadline, type World } from '../base/world.ts'
import type { Beat, Channel } from '../drivers/channel/channel.ts'

/** What a way into a guest tells of it. */
export type Sign = { type: 'answers' | 'silent' } | { type: 'beat'; beat: Beat }

/** Three beats of a guest. */
const silenceMs = 30_000
/** How long one that missed its beats has to answer, and one whose connection broke to have another. */
const patienceMs = 5000
/** Between tries of a way that refused: its agent may be replaced. */
const refusedMs = 5000

/** Follows one way into a guest until its channel is closed. Nothing is asked of a guest that says by itself how it is, and nothing of one whose way notices by itself that it broke. */
export async function watchWay(channel: Channel, { world, tell }: { world: World; tell: (sign: Sign) => void }): Promise<void> {
  const signal = channel.closed
  if (!(await answers(channel, world))) return
  tell({ type: 'answers' })
  if (channel.features.beats && channel.beats) return watchBeats(channel, { world, tell })
  if (!channel.broken) return
  while (!signal.aborted) {
    await channel.broken({ signal }).catch(() => undefined)
    if (signal.aborted || (await answers(channel, world, patienceMs))) continue
    if (!signal.aborted) tell({ type: 'silent' })
    if (await answers(channel, world)) tell({ type: 'answers' })
  }
}

/** Whether it answers, now or in time; false if its channel is closed first. */
async function answers(channel: Channel, world: World, limitMs?: number): Promise<boolean> {
  const { closed } = channel
  using limit = limitMs === undefined ? { signal: closed, [Symbol.dispose]: () => undefined } : deadline(world, limitMs, closed)
  while (!limit.signal.aborted) {
    try {
      await channel.ready({ signal: limit.signal })
      return true
    } catch {
      if (!limit.signal.aborted) await world.sleep(refusedMs, limit.signal).catch(() => undefined)
    }
  }
  return false
}

async function watchBeats(channel: Channel, { world, tell }: { world: World; tell: (sign: Sign) => void }): Promise<void> {
  const { closed } = channel
  let silent = false
  let stop: () => void = () => undefined
  const arm = () => {
    stop()
    if (!closed.aborted) stop = world.after(silenceMs, missed)
  }
  const missed = () => {
    const limit = deadline(world, patienceMs, closed)
    channel
      .ping({ signal: limit.signal })
      .then(arm, () => {
        if (closed.aborted) return
        silent = true
        tell({ type: 'silent' })
      })
      .finally(() => limit[Symbol.dispose]())
      .catch(() => undefined)
  }
  arm()
  try {
    for await (const beat of channel.beats?.({ signal: closed }) ?? []) {
      arm()
      if (silent) tell({ type: 'answers' })
      silent = false
      tell({ type: 'beat', beat })
    }
  } finally {
    stop()
  }
}
