import type { Duplex } from 'node:stream'
import { arrival } from '../../../base/arrival.ts'
import { background } from '../../../base/background.ts'
import { nap } from '../../../base/nap.ts'
import type { Call } from '../../../model/call.ts'
import { asTtError, fail, TtError } from '../../../model/errors.ts'
import type { Beat, Guest } from '../channel.ts'
import { beats } from './beats.ts'
import type { Converse, Exchange } from './exchange.ts'
import { reasonOf } from './execution.ts'
import type { Frame } from './frame.ts'
import { type Link, link, type LinkEnd } from './link.ts'
import { answer } from './protocol.ts'

/** All that is said to one guest: it is dialled, and again after a break, for as long as this lasts. */
export interface Conversation extends AsyncDisposable {
  readonly closed: AbortSignal
  ready(call?: Call): Promise<void>
  /** What the agent said of itself when it was met last: `window` of `window=vdb`. */
  fact(name: string): string | undefined
  exchange: Converse
  beats(call: Call): AsyncIterable<Beat>
}

/** Between tries to reach the guest; `wanted` is the most while somebody waits for it. */
const dialPauseMs = { first: 10, wanted: 100, last: 1000 }
const patienceMs = { first: 1000, last: 8000 }
/** A link that was up for less than this does not count as success: whoever breaks the rules again and again is dialled ever more rarely. */
const steadyMs = 1000

/** Speaks with the guest. */
export function conversation({ dial, world, log, secret }: Guest): Conversation {
  const closing = new AbortController()
  const work = background((_, fault) => log.error('the channel stopped dialling', { fault: String(fault) }))
  const pending = new Map<number, Pick<Exchange<unknown>, 'frame' | 'lose'>>()
  const upAgain = arrival<void>({ reasonOf })
  const rest = nap(world)
  const heart = beats()
  let current: Link | undefined
  let known = new Map<string, string>()
  let lastId = 0

  const nextId = (): number => {
    do lastId = (lastId % 0xffffffff) + 1
    while (pending.has(lastId))
    return lastId
  }
  const loseAll = (why: TtError) => {
    const lost = [...pending.values()]
    pending.clear()
    for (const one of lost) one.lose(why)
  }

  /** Speaks over the stream until it ends; how long it was up, and why it ended. */
  const converse = (stream: Duplex, patience: number): Promise<{ upMs: number; end: LinkEnd }> => {
    const { promise, resolve } = Promise.withResolvers<{ upMs: number; end: LinkEnd }>()
    let upAt: number | undefined
    const owner = {
      up: (facts: Map<string, string>) => {
        upAt = world.ticks()
        known = facts
        log.debug('the guest answers', { agent: facts.get('agent'), boot: facts.get('boot') })
        upAgain.give()
      },
      frame: (type: number, id: number, payload: Buffer) => {
        if (type !== answer.beat) pending.get(id)?.frame(type, payload)
        else if (!heart.take(payload)) current?.distrust('a beat of no kind')
      },
      down: () => {
        heart.forget()
        loseAll(lostBy('the agent in the guest began anew'))
      },
      ended: (end: LinkEnd) => {
        current = undefined
        heart.forget()
        loseAll(end.why === 'broken' ? new TtError({ code: 'failed', message: `the guest broke the protocol and was disconnected: ${end.fault}` }) : lostBy('the connection to the guest broke'))
        resolve({ upMs: upAt === undefined ? 0 : world.ticks() - upAt, end })
      },
    }
    current = link(stream, { world, secret, patienceMs: patience }, owner)
    return promise
  }

  const keepDialling = async (signal: AbortSignal) => {
    let pause = dialPauseMs.first
    let patience = patienceMs.first
    while (!signal.aborted) {
      const stream = await reach(signal)
      if (stream instanceof TtError) {
        if (stream.code === 'not_found') return close(new TtError({ code: 'unavailable', message: `the guest is gone: ${stream.message}` }, stream))
      } else {
        if (signal.aborted) return void stream.destroy()
        const { upMs, end } = await converse(stream, patience)
        if (upMs > 0) patience = patienceMs.first
        else if (end.why === 'silent') patience = Math.min(patience * 2, patienceMs.last)
        if (upMs >= steadyMs || end.why === 'silent') pause = dialPauseMs.first
        if (end.why === 'broken') log.warn('the guest broke the protocol', { fault: end.fault })
        if (end.why === 'foreign') upAgain.refuse(new TtError({ code: 'unsupported', message: `the agent in the guest speaks ${end.fault}`, remedy: 'build the image anew' }))
        if (end.why === 'stranger') {
          log.warn('the guest takes us for a stranger')
          upAgain.refuse(new TtError({ code: 'denied', message: 'the guest knows another host, and takes nothing from this one', remedy: 'restart it: a guest that boots takes the key of the first host that greets it' }))
        }
      }
      await rest.take(upAgain.awaited ? Math.min(pause, dialPauseMs.wanted) : pause, signal)
      pause = Math.min(pause * 2, dialPauseMs.last)
    }
  }

  const reach = async (signal: AbortSignal): Promise<Duplex | TtError> => {
    try {
      return await dial({ signal })
    } catch (fault) {
      return asTtError(fault)
    }
  }

  const close = (why: TtError) => {
    if (closing.signal.aborted) return
    closing.abort(why)
    loseAll(why)
    upAgain.refuse(why)
    current?.end()
  }

  const ready = (call?: Call): Promise<void> => {
    if (call?.signal?.aborted) return Promise.reject(reasonOf(call.signal.reason))
    if (current?.up) return Promise.resolve()
    if (closing.signal.aborted) return Promise.reject(closing.signal.reason as TtError)
    rest.wake() // Somebody is in need of the guest.
    return upAgain.wait(call?.signal)
  }

  work.run('dial', keepDialling)
  return {
    closed: closing.signal,
    ready,
    fact: (name) => known.get(name),
    beats: ({ signal }) => heart.hear(signal, closing.signal),
    async exchange(begin, call) {
      if (call?.signal?.aborted) throw reasonOf(call.signal.reason)
      if (!current?.up) await ready(call)
      const over = current
      if (!over?.up) fail('unavailable', 'the connection to the guest broke before anything was sent')
      const id = nextId()
      // Once it has ended, nothing is said of it any more: by then its link may be up with another agent.
      const send = (frames: Frame[]) => {
        if (pending.has(id)) over.send(frames)
      }
      const exchange = begin({ id, send, distrust: over.distrust })
      pending.set(id, exchange)
      exchange.start()
      try {
        return await exchange.end
      } finally {
        pending.delete(id)
      }
    },
    async [Symbol.asyncDispose]() {
      close(new TtError({ code: 'unavailable', message: 'the channel to the guest was closed' }))
      await work[Symbol.asyncDispose]()
    },
  }
}

const lostBy = (what: string) => new TtError({ code: 'unavailable', message: `${what} while the command ran: whether it had an effect is not known` })
