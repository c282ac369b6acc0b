import { arrival } from '../base/arrival.ts'
import type { Log } from '../base/log.ts'
import type { World } from '../base/world.ts'
import type { Channel } from '../drivers/channel/channel.ts'
import type { Call } from '../model/call.ts'
import { asTtError, fail, TtError } from '../model/errors.ts'
import type { Way } from '../model/image.ts'
import type { GuestStatus } from '../model/vm.ts'
import { type Sign, watchWay } from './guest-signs.ts'

/** The ways into one guest. The first is opened at once, the others while none answers; what answers is used, the preferred of several. */
export interface GuestWays extends AsyncDisposable {
  /** Of those that answer the preferred; while none does, what waits for the first that will. */
  readonly channel: Channel
  /** The channel of one way, opened if it is not; refuses what the image has not. */
  by(way: Way): Channel
  /** Tells when this channel's way falls silent, and when it answers again; at once if it is silent already. Until it is disposed. */
  heed(channel: Channel, hear: (silence: Silence) => void): Disposable
  /** Whether any has answered since it was opened. */
  readonly answered: boolean
  /** How the guest is, as far as it was told: a change of state at once, of load and memory rarely. */
  readonly status: GuestStatus
}

/** A way that is silent for so long, or that was and answers again. */
export interface Silence {
  forMs: number
  over: boolean
}

export interface WaysOptions {
  ways: readonly Way[]
  /** Opens a way; refuses what cannot be on this host. */
  open: (way: Way) => Channel
  world: World
  log: Log
  /** The status is another. */
  onChange: () => void
}

/** So long the ways that are open are waited for before the next is opened as well. */
const nextWayMs = 5000
/** Load and memory are told this often at most. */
const toldEveryMs = 30_000
const muchLoad = 0.5
const muchOfMemory = 0.1

interface Open {
  channel: Channel
  answers: boolean
  /** It is asked whether it does: another way into the same guest fell silent, which this one may only not have noticed. */
  doubted: boolean
  doubt: () => void
  silentSince?: number
  readonly heeding: Set<(silence: Silence) => void>
}

export function guestWays(options: WaysOptions): GuestWays {
  const { ways, open, world, log, onChange } = options
  const opened = new Map<Way, Open>()
  const refused: TtError[] = []
  const firstOne = arrival<void>({ reasonOf: asTtError })
  let answered = false
  let status: GuestStatus = { state: ways.length === 0 ? 'none' : 'booting' }
  let told = -Infinity
  let closed = false
  let stopNext: () => void = () => undefined

  const best = (): { way: Way; channel: Channel; doubted: boolean } | undefined => {
    const way = ways.find((one) => opened.get(one)?.answers)
    const found = way && opened.get(way)
    return found && { way, channel: found.channel, doubted: found.doubted }
  }
  /** Says the state anew, if it is another. */
  const tell = () => {
    const found = best()
    if (found?.doubted) return // That is said when it has answered, or has not.
    const way = found?.way
    const state = way ? 'ready' : answered ? 'lost' : 'booting'
    const last = way ?? status.way
    if (state === status.state && last === status.way) return
    // What was measured speaks of the guest as it was; by another way nothing may be.
    status = last === undefined ? { state } : { state, way: last }
    told = -Infinity
    onChange()
  }
  const measured = (way: Way, { load, memUsedMb, memTotalMb }: Extract<Sign, { type: 'beat' }>['beat']) => {
    if (status.way !== way || status.state !== 'ready' || world.ticks() - told < toldEveryMs) return
    const same = status.load !== undefined && Math.abs(status.load - load) < muchLoad && Math.abs((status.memUsedMb ?? 0) - memUsedMb) < memTotalMb * muchOfMemory
    if (same) return
    told = world.ticks()
    status = { state: 'ready', way, load, memUsedMb }
    onChange()
  }
  const hear = (way: Way, entry: Open, sign: Sign) => {
    if (sign.type === 'beat') return measured(way, sign.beat)
    entry.doubted = false
    if (entry.answers === (sign.type === 'answers')) return tell()
    entry.answers = sign.type === 'answers'
    heeded(entry, sign)
    if (entry.answers) {
      answered = true
      stopNext()
      firstOne.give()
    } else doubtOthers()
    tell()
    if (!best()) openNext()
  }
  const heeded = (entry: Open, sign: Exclude<Sign, { type: 'beat' }>) => {
    const over = sign.type === 'answers'
    const since = over ? entry.silentSince : world.ticks() - sign.forMs
    entry.silentSince = over ? undefined : since
    if (since !== undefined) for (const tellOf of entry.heeding) tellOf({ forMs: world.ticks() - since, over })
  }
  /** What one way has noticed another may notice much later, and is not to be called ready by it until then. */
  const doubtOthers = () => {
    for (const other of opened.values()) {
      if (!other.answers || other.doubted) continue
      other.doubted = true
      other.doubt()
    }
  }
  const opening = (way: Way): Open => {
    const known = opened.get(way)
    if (known) return known
    const channel = open(way)
    const watch = watchWay(channel, { world, tell: (sign) => hear(way, entry, sign) })
    const entry: Open = { channel, answers: false, doubted: false, doubt: watch.doubt, heeding: new Set() }
    opened.set(way, entry)
    // Ends with its channel.
    watch.ended.catch((fault: unknown) => log.error('a way into a guest is watched no more', { way, fault: String(fault) }))
    return entry
  }
  /** Opens the next way that can be, and after a while the one after it. */
  const openNext = () => {
    stopNext()
    if (closed) return
    for (const way of ways) {
      if (opened.has(way)) continue
      try {
        opening(way)
        if (ways.length > opened.size) stopNext = world.after(nextWayMs, openNext)
        return
      } catch (thrown) {
        const why = asTtError(thrown)
        if (!refused.some(({ message }) => message === why.message)) {
          refused.push(why)
          log.warn('a way into a guest cannot be opened', { way, fault: why.message })
        }
      }
    }
  }
  const firstAnswer = (call?: Call): Promise<void> => {
    if (best()) return Promise.resolve()
    if (closed) return Promise.reject(gone())
    for (const { channel } of opened.values()) channel.ready(call).catch(() => undefined) // Somebody is in need of it: it tries harder.
    return firstOne.wait(call?.signal)
  }

  openNext()
  const [whyNot] = refused
  if (opened.size === 0 && whyNot) throw whyNot
  let unsure: Channel | undefined
  return {
    get channel() {
      const now = best()
      if (now) return now.channel
      const last = status.way && opened.get(status.way)?.channel
      if (last) return last
      const [only, other] = [...opened.values()]
      if (!only) return fail('unsupported', 'nothing in this guest takes commands: its image names no way in', { remedy: 'its serial line is open: `tt env console`' })
      return ways.length === 1 && !other ? only.channel : (unsure ??= firstThatAnswers(() => best()?.channel ?? only.channel, firstAnswer))
    },
    by: (way) => (ways.includes(way) ? opening(way).channel : fail('unsupported', `this guest has no way in by ${way}, but ${ways.length === 0 ? 'none at all' : `by ${ways.join(' and ')}`}`)),
    heed(channel, tellOf) {
      const entry = [...opened.values()].find((one) => one.channel === channel)
      entry?.heeding.add(tellOf)
      if (entry?.silentSince !== undefined) tellOf({ forMs: world.ticks() - entry.silentSince, over: false })
      return { [Symbol.dispose]: () => entry?.heeding.delete(tellOf) }
    },
    get answered() {
      return answered
    },
    get status() {
      return status
    },
    async [Symbol.asyncDispose]() {
      closed = true
      stopNext()
      firstOne.refuse(gone())
      await Promise.allSettled([...opened.values()].map(({ channel }) => channel[Symbol.asyncDispose]()))
    },
  }
}

const gone = () => new TtError({ code: 'unavailable', message: 'the channel to the guest was closed' })

/** Stands for a channel that is not known yet: waits for the first that answers, and is that one from then on. */
function firstThatAnswers(found: () => Channel, wait: (call?: Call) => Promise<void>): Channel {
  return {
    get features() {
      return found().features
    },
    get files() {
      return found().files
    },
    get closed() {
      return found().closed
    },
    ready: wait,
    async ping(call) {
      await wait(call)
      await found().ping(call)
    },
    async exec(command, options, call) {
      await wait(call)
      return found().exec(command, options, call)
    },
    async [Symbol.asyncDispose]() {
      await found()[Symbol.asyncDispose]()
    },
  }
}
