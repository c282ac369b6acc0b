import type { Channel, ChannelFactory } from '../channel.ts'
import { conversation } from './conversation.ts'
import { execution } from './execution.ts'
import { guestFiles } from './files.ts'
import { identification } from './identity.ts'
import { inquiry } from './inquiry.ts'
import { answer, ask } from './protocol.ts'
import { requestOf } from './request.ts'
import { window } from './window.ts'

const haltGraceMs = 2000

/** The channel to our agent (guest/agent): everything over one stream that the engine dials. */
export const rexec: ChannelFactory = (guest): Channel => {
  const { world } = guest
  const talk = conversation(guest)
  return {
    features: { tty: true, stdin: true, signals: true, files: true, identity: true, beats: true },
    closed: talk.closed,
    ready: talk.ready,
    ping: async (call) => void (await talk.exchange((wire) => inquiry({ type: ask.ping, answer: answer.pong }, wire, call), call)),
    halt: async (call) => void (await talk.exchange((wire) => inquiry({ type: ask.halt, answer: answer.halted, payload: graceOf(haltGraceMs) }, wire, call), call)),
    exec: async (command, options, call) => {
      const body = requestOf(command, options)
      return talk.exchange((wire) => execution({ body, command, options }, { wire, world }, call), call)
    },
    identify: async (identity, call) => {
      const begin = identification(identity)
      await talk.exchange((wire) => begin(wire, call), call)
    },
    beats: talk.beats,
    files: guestFiles(talk.exchange, { world, window: window(async () => (talk.fact('window') ? guest.window?.() : undefined), world) }),
    [Symbol.asyncDispose]: talk[Symbol.asyncDispose],
  }
}

const graceOf = (ms: number): Uint8Array => {
  const payload = Buffer.allocUnsafe(4)
  payload.writeUInt32LE(ms)
  return payload
}
