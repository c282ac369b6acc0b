import { arrival } from '../../../base/arrival.ts'
import { background } from '../../../base/background.ts'
import { type Nap, nap } from '../../../base/nap.ts'
import { gate } from '../../../base/queue.ts'
import type { Call } from '../../../model/call.ts'
import { asTtError, problemOf, TtError } from '../../../model/errors.ts'
import type { Guest } from '../channel.ts'
import { hostKeyOf } from './host-key.ts'
import { type Login, login } from './login.ts'

/** The connection to one guest, made anew whenever it breaks; and further ones while many commands run, as OpenSSH takes ten over each (MaxSessions). */
export interface Connection extends AsyncDisposable {
  readonly closed: AbortSignal
  /** The connection, once there is one. */
  ready(call?: Call): Promise<Login>
  /** One with room for a command, which is counted until it is given back. */
  take(call?: Call): Promise<Login>
  giveBack(login: Login): void
  /** Its server refused one more command over it. */
  full(login: Login): void
  broken(call: Call): Promise<void>
  /** From now on nothing is begun. */
  close(): void
}

const connectionsMost = 16
/** OpenSSH turns some away when more than ten log in at once (MaxStartups). */
const loginsAtOnce = 2
/** Between tries; `wanted` is the most while somebody waits. A server that refused the key is asked rarely: some count that against the caller. */
const pauseMs = { first: 50, wanted: 500, last: 3000, denied: 5000 }
const idleMs = 5000
/** What was up for less than this is no success: whoever lets us in to throw us out is asked ever more rarely. */
const steadyMs = 1000

export function connection(guest: Guest): Connection {
  const { world, log } = guest
  const closing = new AbortController()
  const work = background((what, fault) => log.error('ssh to a guest ended', { what, fault: String(fault) }))
  let lastFault: TtError | undefined
  const up = arrival<Login>({ reasonOf: (reason) => withReason(asTtError(reason), lastFault) })
  const breaks = arrival<void>({ reasonOf: asTtError })
  const rest = nap(world)
  const others = new Set<Login>()
  const queue: Nap[] = []
  let main: Login | undefined
  const logins = gate(loginsAtOnce)
  let opening = 0
  /** What the server was found to allow over one connection. */
  let roomMost = Infinity
  const hostKey = lazily(() => hostKeyOf(guest))

  const keepConnected = async (signal: AbortSignal) => {
    let pause = pauseMs.first
    while (!signal.aborted) {
      try {
        main = await login(guest, await hostKey(), signal)
        lastFault = undefined
        roomMost = Infinity
        const since = world.ticks()
        up.give(main)
        next()
        const why = await main.ended
        main = undefined
        if (world.ticks() - since > steadyMs) pause = pauseMs.first
        log.debug('ssh to the guest broke', { why })
        breaks.give()
      } catch (thrown) {
        if (signal.aborted) return
        lastFault = asTtError(thrown)
        // What waiting does not mend is told at once.
        if (lastFault.code === 'unsupported' || (lastFault.code === 'denied' && lastFault.remedy !== undefined)) up.refuse(lastFault)
      }
      await rest.take(lastFault?.code === 'denied' ? pauseMs.denied : up.awaited ? Math.min(pause, pauseMs.wanted) : pause, signal)
      pause = Math.min(pause * 2, pauseMs.last)
    }
  }

  const ready = (call?: Call): Promise<Login> => {
    if (call?.signal?.aborted) return Promise.reject(asTtError(call.signal.reason))
    if (closing.signal.aborted) return Promise.reject(closing.signal.reason as TtError)
    if (main && !main.over) return Promise.resolve(main)
    if (lastFault?.code !== 'denied') rest.wake()
    return up.wait(call?.signal)
  }

  const next = () => queue.shift()?.wake()
  const another = async (call?: Call): Promise<Login> => {
    opening++
    try {
      const made = await logins.pass(async () => login(guest, await hostKey(), closing.signal))
      made.room = Math.min(made.room, roomMost)
      others.add(made)
      work.run('another', async () => {
        await made.ended
        others.delete(made)
        next()
      })
      if (!call?.signal?.aborted) return made
      leaveIdle(made)
      throw asTtError(call.signal.reason)
    } finally {
      opening--
    }
  }
  const leaveIdle = (one: Login) =>
    world.after(idleMs, () => {
      if (one.busy === 0) one.end()
    })
  const take = async (call?: Call): Promise<Login> => {
    const first = await ready(call)
    const free = [first, ...others].find((one) => one.busy < one.room && !one.over && !one.worn)
    if (free) {
      free.busy++
      return free
    }
    if (1 + others.size + opening >= connectionsMost) {
      await turn(pauseMs.wanted, call)
      return take(call)
    }
    // A server that lets nobody more in may when some have gone.
    const made = await another(call).catch(async (fault: unknown) => {
      if (call?.signal?.aborted || closing.signal.aborted || (!main && others.size === 0)) throw fault
      await turn(pauseMs.last, call)
      return undefined
    })
    if (!made || made.busy >= made.room) return take(call)
    made.busy++
    return made
  }
  /** Waits until some command has ended, and not for long: none may run. */
  const turn = async (ms: number, call?: Call): Promise<void> => {
    const own = nap(world)
    queue.push(own)
    const signal = call?.signal ? AbortSignal.any([call.signal, closing.signal]) : closing.signal
    await own.take(ms, signal)
    if (queue.includes(own)) queue.splice(queue.indexOf(own), 1)
    else if (signal.aborted) next() // It was its turn, and is another's now.
    if (signal.aborted) throw asTtError(signal.reason)
  }

  const close = () => {
    if (closing.signal.aborted) return
    const why = new TtError({ code: 'unavailable', message: 'the channel to the guest was closed' })
    closing.abort(why)
    up.refuse(why)
  }

  work.run('ssh', keepConnected)
  return {
    closed: closing.signal,
    ready,
    take,
    giveBack(one) {
      one.busy--
      if (one.busy === 0 && one.worn) one.end()
      else if (one.busy === 0 && one !== main) leaveIdle(one)
      next()
    },
    full(login) {
      login.room = Math.max(0, Math.min(login.room, login.busy) - 1)
      roomMost = Math.max(1, Math.min(roomMost, login.room))
      for (const one of others) one.room = Math.min(one.room, roomMost)
    },
    broken: (call) => breaks.wait(call.signal).catch(() => undefined),
    close,
    async [Symbol.asyncDispose]() {
      close()
      main?.end()
      for (const one of others) one.end()
      await work[Symbol.asyncDispose]()
    },
  }
}

/** Who gave up waiting is told what the last try met, unless he did not want to wait at all. */
function withReason(reason: TtError, lastFault?: TtError): TtError {
  if (!lastFault || reason.code === 'cancelled') return reason
  return new TtError({ ...problemOf(reason), message: `${reason.message} (ssh: ${lastFault.message})` }, reason)
}

function lazily<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => (made ??= make().catch((fault: unknown) => {
    made = undefined
    throw fault
  }))
}
