import { arrival } from '../../../base/arrival.ts'
import { background } from '../../../base/background.ts'
import { nap } from '../../../base/nap.ts'
import { deadline } from '../../../base/world.ts'
import type { Call } from '../../../model/call.ts'
import { asTtError, fail, TtError } from '../../../model/errors.ts'
import { type Channel, type ChannelFactory, qgaPort } from '../channel.ts'
import { shellTextOf } from '../shell-text.ts'
import { within } from '../within.ts'
import { conversation, type Conversation } from './conversation.ts'
import { execute, outputLimitBytes } from './execution.ts'

/** Between tries to reach the agent, and how long one that boots may take to answer. */
const pauseMs = { first: 20, wanted: 200, last: 3000 }
const patienceMs = { first: 1000, last: 8000 }
/** The agent never speaks by itself, and its stream stays open when it is dead: so often it is asked by whoever wants to hear of that. */
const askEveryMs = 60_000
const askedMs = 10_000

/** The channel to the guest agent of QEMU (qemu-ga), as stock images have it: whole commands, whose output comes at their end. */
export const qga: ChannelFactory = ({ dial, world, log }): Channel => {
  const closing = new AbortController()
  const work = background((_, fault) => log.error('the guest agent is dialled no more', { fault: String(fault) }))
  const next = arrival<Conversation>({ reasonOf: asTtError })
  const rest = nap(world)
  let current: Conversation | undefined

  const close = (why: TtError) => {
    if (closing.signal.aborted) return
    closing.abort(why)
    next.refuse(why)
  }
  const keepDialling = async (signal: AbortSignal) => {
    let pause = pauseMs.first
    let patience = patienceMs.first
    while (!signal.aborted) {
      try {
        const stream = await dial({ signal }, qgaPort)
        current = await conversation(stream, { world, patienceMs: patience, signal })
        log.debug('the guest agent answers')
        ;[pause, patience] = [pauseMs.first, patienceMs.first]
        next.give(current)
        const stop = () => current?.end()
        signal.addEventListener('abort', stop, { once: true })
        if (signal.aborted) stop()
        await current.ended
        signal.removeEventListener('abort', stop)
      } catch (thrown) {
        const fault = asTtError(thrown)
        if (fault.code === 'not_found') return close(new TtError({ code: 'unavailable', message: `the guest is gone: ${fault.message}` }, fault))
        patience = Math.min(patience * 2, patienceMs.last)
      }
      current = undefined
      await rest.take(next.awaited ? Math.min(pause, pauseMs.wanted) : pause, signal)
      pause = Math.min(pause * 2, pauseMs.last)
    }
  }
  const reached = (call?: Call): Promise<Conversation> => {
    if (call?.signal?.aborted) return Promise.reject(asTtError(call.signal.reason))
    if (closing.signal.aborted) return Promise.reject(closing.signal.reason as TtError)
    if (current && !current.over) return Promise.resolve(current)
    rest.wake()
    return next.wait(call?.signal)
  }
  const ping = async (call?: Call): Promise<void> => {
    const agent = await reached(call)
    await within(agent.ask('guest-ping'), call?.signal)
  }

  work.run('dial', keepDialling)
  return {
    features: { tty: false, stdin: false, signals: false, files: false, identity: false, beats: false, outputAtEnd: { limitBytes: outputLimitBytes } },
    closed: closing.signal,
    ready: async (call) => void (await reached(call)),
    ping,
    async broken(call) {
      const { signal } = call
      while (!signal?.aborted) {
        const agent = await reached(call)
        const ended = await Promise.race([agent.ended, world.sleep(askEveryMs, signal).then(() => undefined)])
        if (ended !== undefined) return
        using limit = deadline(world, askedMs, signal)
        const answers = await ping({ signal: limit.signal }).then(
          () => true,
          () => false,
        )
        if (answers) continue
        agent.end() // What it may still say would be taken for the next answer.
        return
      }
    },
    async exec(command, options, call) {
      shellTextOf(command, { ...options, mark: '', headerTo: 'stderr' }) // What cannot be is refused before anything is waited for.
      if (options.tty) fail('unsupported', 'the guest agent of QEMU gives no terminal')
      if (options.stdin) fail('unsupported', 'the guest agent of QEMU passes no input on')
      const agent = await reached(call)
      const running = execute(command, options, { agent, world, closed: closing.signal, call })
      running.catch(() => undefined) // It ends its command in the guest after its caller has left.
      return within(running, call?.signal, closing.signal)
    },
    async [Symbol.asyncDispose]() {
      close(new TtError({ code: 'unavailable', message: 'the channel to the guest was closed' }))
      await work[Symbol.asyncDispose]()
    },
  }
}
