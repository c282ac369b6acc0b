import type { Call } from '../../../model/call.ts'
import { TtError } from '../../../model/errors.ts'
import type { Exchange, ExchangeWire } from './exchange.ts'
import { reasonOf } from './execution.ts'
import { answer } from './protocol.ts'
import { refusalOf } from './refusal.ts'

/** What is asked in frames that are one write, and the type of the one frame that answers it. */
export interface Inquiry {
  type: number
  answer: number
  /** Of each frame; one frame without payload if absent. */
  payload?: Uint8Array | Uint8Array[]
  /** What an ERROR means here; by default what it means of commands. */
  refusal?(payload: Buffer): TtError | undefined
}

/** One question, and the payload of its answer. An abort of the call gives it up, whatever the guest makes of it. */
export function inquiry(what: Inquiry, wire: ExchangeWire, call?: Call): Exchange<Buffer> {
  const { promise: end, resolve, reject } = Promise.withResolvers<Buffer>()
  const give = () => reject(reasonOf(call?.signal?.reason))
  const refusal = what.refusal ?? ((payload: Buffer) => refusalOf(payload, undefined))
  const payloads = Array.isArray(what.payload) ? what.payload : [what.payload ?? new Uint8Array(0)]
  return {
    end: end.finally(() => call?.signal?.removeEventListener('abort', give)),
    start() {
      call?.signal?.addEventListener('abort', give, { once: true })
      wire.send(payloads.map((payload) => ({ type: what.type, id: wire.id, payload })))
    },
    frame(type, payload) {
      if (type === what.answer) resolve(payload)
      else reject((type === answer.error && refusal(payload)) || new TtError({ code: 'failed', message: 'the guest answered something else' }))
    },
    lose: reject,
  }
}
