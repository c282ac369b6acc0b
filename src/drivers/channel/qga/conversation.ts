import type { Duplex } from 'node:stream'
import type { World } from '../../../base/world.ts'
import { TtError } from '../../../model/errors.ts'

/** One stream to a guest agent: questions one after another, each with its answer. */
export interface Conversation {
  /** What the agent answers; rejects with `refusal` for what it refuses, and `unavailable` when the stream ends. */
  ask(name: string, args?: object): Promise<unknown>
  /** Resolves with why, once the stream has ended. */
  readonly ended: Promise<string>
  readonly over: boolean
  end(): void
}

/** What the agent says of a command it does not carry out. */
export class AgentRefusal extends Error {}

/** Both outputs of a command at their most, in base64, and what is around them. */
const answerLimitBytes = 48 << 20
/** What comes unasked, or before the greeting. */
const unaskedLimitBytes = 64 << 10
const delimiter = 0xff
/** Answers to earlier greetings may come first; more are no answers. */
const strangeAnswers = 32

/**
 * Greets the agent with a number that nobody can know beforehand and drops everything until it comes back: a stream that was cut in the middle of an answer is clean then.
 * https://www.qemu.org/docs/master/interop/qemu-ga-ref.html#command-QGA-qapi-schema.guest-sync-delimited
 */
export async function conversation(stream: Duplex, { world, patienceMs, signal }: { world: World; patienceMs: number; signal: AbortSignal }): Promise<Conversation> {
  const { promise: ended, resolve: setEnded } = Promise.withResolvers<string>()
  let over = false
  let heard: Buffer[] = []
  let size = 0
  let greeting = true
  let waiting: { resolve: (value: unknown) => void; reject: (fault: unknown) => void } | undefined
  let turn: Promise<unknown> = Promise.resolve()

  const finish = (why: string) => {
    if (over) return
    over = true
    stream.destroy()
    waiting?.reject(new TtError({ code: 'unavailable', message: why }))
    waiting = undefined
    heard = []
    setEnded(why)
  }
  const line = (text: string) => {
    let said: { return?: unknown; error?: { desc?: unknown } }
    try {
      said = JSON.parse(text) as typeof said
    } catch {
      if (!greeting) finish('the guest agent says what is no JSON')
      return
    }
    // The agent takes the delimiter for an error in what it had begun to read, and says so before it answers: in a slow guest that comes alone.
    if (greeting && said?.error !== undefined) return
    const one = waiting
    waiting = undefined
    if (typeof said === 'object' && said !== null && said.error !== undefined) one?.reject(new AgentRefusal(String(said.error?.desc).slice(0, 1000)))
    else one?.resolve(said?.return)
  }
  stream.on('data', (piece: Buffer) => {
    for (let rest = piece; rest.length > 0 && !over; ) {
      // In a greeting all before the delimiter is of another conversation.
      const mark = greeting ? rest.lastIndexOf(delimiter) : -1
      if (mark >= 0) {
        heard = []
        size = 0
        rest = rest.subarray(mark + 1)
      }
      const end = rest.indexOf(0x0a)
      const part = end < 0 ? rest : rest.subarray(0, end)
      rest = end < 0 ? rest.subarray(rest.length) : rest.subarray(end + 1)
      heard.push(part)
      size += part.length
      if (size > (waiting && !greeting ? answerLimitBytes : unaskedLimitBytes)) return finish('the guest agent says more than it may')
      if (end < 0) continue
      const text = Buffer.concat(heard).toString()
      heard = []
      size = 0
      line(text)
    }
  })
  stream.on('error', () => finish('the connection to the guest agent broke'))
  stream.on('end', () => finish('the connection to the guest agent broke'))
  stream.on('close', () => finish('the connection to the guest agent broke'))

  const ask = (name: string, args: object | undefined, lead: Uint8Array): Promise<unknown> => {
    if (over) return Promise.reject(new TtError({ code: 'unavailable', message: 'the connection to the guest agent broke' }))
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    waiting = { resolve, reject }
    stream.write(Buffer.concat([lead, Buffer.from(`${JSON.stringify({ execute: name, ...(args ? { arguments: args } : {}) })}\n`)]))
    return promise
  }
  const id = Buffer.from(world.random(6)).readUIntBE(0, 6)
  const stop = world.after(patienceMs, () => finish('the guest agent does not answer'))
  const giveUp = () => finish('the channel to the guest was closed')
  signal.addEventListener('abort', giveUp, { once: true })
  if (signal.aborted) giveUp()
  try {
    let tries = 0
    while ((await ask('guest-sync-delimited', { id }, Buffer.from([delimiter]))) !== id) if (++tries > strangeAnswers) finish('the guest agent does not understand the greeting')
  } finally {
    stop()
    signal.removeEventListener('abort', giveUp)
  }
  greeting = false
  return {
    ended,
    get over() {
      return over
    },
    ask(name, args) {
      const asked = turn.then(() => ask(name, args, Buffer.alloc(0)))
      turn = asked.catch(() => undefined)
      return asked
    },
    end: () => finish('the channel to the guest was closed'),
  }
}
