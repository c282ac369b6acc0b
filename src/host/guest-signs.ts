import { deadline, type World } from '../base/world.ts'
import type { Beat, Channel } from '../drivers/channel/channel.ts'

/** What a way into a guest tells of it. */
export type Sign = { type: 'answers' } | { type: 'silent'; /** For so long, as far as is known. */ forMs: number } | { type: 'beat'; beat: Beat }

/** The watch that is kept on one way into a guest. */
export interface Watch {
  /** Somebody has reason to believe that what answered is silent: it is asked, and `answers` or `silent` is told within some seconds. */
  doubt(): void
  /** Resolves when its channel is closed, or will say no more by itself. */
  readonly ended: Promise<void>
}

interface Watching {
  world: World
  tell: (sign: Sign) => void
}

/** Three beats of a guest. */
const silenceMs = 30_000
/** How long one that missed its beats has to answer, and one whose connection broke to have another. */
const patienceMs = 5000
/** Between tries of a way that refused: its agent may be replaced. */
const refusedMs = 5000

/** Follows one way into a guest until its channel is closed. Nothing is asked of a guest that says by itself how it is, and nothing of one whose way notices by itself that it broke, unless it is doubted. */
export function watchWay(channel: Channel, watching: Watching): Watch {
  let asking = false
  return {
    doubt() {
      if (asking) return
      asking = true
      asked(channel, watching)
        .catch(() => undefined)
        .finally(() => (asking = false))
    },
    ended: watched(channel, watching),
  }
}

async function watched(channel: Channel, { world, tell }: Watching): Promise<void> {
  const signal = channel.closed
  if (!(await answers(channel, world))) return
  tell({ type: 'answers' })
  if (channel.features.beats && channel.beats) return watchBeats(channel, { world, tell })
  if (!channel.broken) return
  while (!signal.aborted) {
    await channel.broken({ signal }).catch(() => undefined)
    const since = world.ticks()
    if (signal.aborted || (await answers(channel, world, patienceMs))) continue
    if (!signal.aborted) tell({ type: 'silent', forMs: world.ticks() - since })
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

async function asked(channel: Channel, { world, tell }: Watching): Promise<void> {
  const { closed } = channel
  const since = world.ticks()
  using limit = deadline(world, patienceMs, closed)
  const there = await channel.ping({ signal: limit.signal }).then(
    () => true,
    () => false,
  )
  if (closed.aborted) return
  if (there) return tell({ type: 'answers' })
  tell({ type: 'silent', forMs: world.ticks() - since })
  if (await isBack(channel, world)) tell({ type: 'answers' })
}

/** Whether one whose connection stands, and that says nothing, answers one day: by that connection, or by the one that takes its place. */
async function isBack(channel: Channel, world: World): Promise<boolean> {
  const stop = new AbortController()
  const signal = AbortSignal.any([channel.closed, stop.signal])
  const anew = () => (signal.aborted ? false : answers(channel, world))
  const said = channel.ping({ signal }).then(() => true, anew)
  try {
    return await Promise.race([said, ...(channel.broken ? [channel.broken({ signal }).then(anew, anew)] : [])])
  } finally {
    stop.abort()
  }
}

async function watchBeats(channel: Channel, { world, tell }: Watching): Promise<void> {
  const { closed } = channel
  let heard = world.ticks()
  let silent = false
  let stop: () => void = () => undefined
  const arm = () => {
    stop()
    if (!closed.aborted) stop = world.after(silenceMs, missed)
  }
  const isHeard = () => {
    heard = world.ticks()
    arm()
  }
  const isMissed = () => {
    if (closed.aborted) return
    silent = true
    tell({ type: 'silent', forMs: world.ticks() - heard })
  }
  const missed = () => {
    const limit = deadline(world, patienceMs, closed)
    channel
      .ping({ signal: limit.signal })
      .then(isHeard, isMissed)
      .finally(() => limit[Symbol.dispose]())
      .catch(() => undefined)
  }
  arm()
  try {
    for await (const beat of channel.beats?.({ signal: closed }) ?? []) {
      isHeard()
      if (silent) tell({ type: 'answers' })
      silent = false
      tell({ type: 'beat', beat })
    }
  } finally {
    stop()
  }
}
