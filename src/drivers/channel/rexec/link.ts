import type { Duplex } from 'node:stream'
import type { World } from '../../../base/world.ts'
import { ear, type Frame, hello, nonceOf, pack } from './frame.ts'
import { type Proof, proofFor } from './proof.ts'
import { answer, ask, nonceBytes, protocolVersion, trailerBytes } from './protocol.ts'

/** What happens on a link. */
export interface LinkOwner {
  /** The guest has answered; frames may be sent. */
  up(facts: Map<string, string>): void
  frame(type: number, id: number, payload: Buffer): void
  /** What was asked is lost: the agent began anew. `up` may follow. */
  down(): void
  /** It is over: the stream broke, nobody answered, the guest knows another host's key, or it broke the protocol or speaks another. Comes once. */
  ended(end: LinkEnd): void
}

export type LinkEnd = { why: 'closed' | 'silent' | 'stranger' } | { why: 'broken' | 'foreign'; fault: string }

/** One stream to one agent. */
export interface Link {
  readonly up: boolean
  /** Sends frames in one write; drops them while not up. */
  send(frames: readonly Frame[]): void
  /** The guest sent what it may not: ends the link as broken. */
  distrust(fault: string): void
  /** Says good-bye, if anybody listens, and closes; the owner hears `ended` at once. */
  end(): void
}

/** An agent that asks for HELLO more often than this is answered later. */
const helloPauseMs = 20
/** Input and credit have their windows, but commands may be long and many: a guest that does not read them is not waited for. */
const mostUnreadBytes = 64 << 20
/** How long a good-bye may take to leave the host. */
const farewellMs = 1000

/** Greets on a fresh stream by the secret, and again whenever the agent asks for it; gives up on an agent that does not answer for `patienceMs`. */
export function link(stream: Duplex, { world, secret, patienceMs }: { world: World; secret: Uint8Array; patienceMs: number }, owner: LinkOwner): Link {
  let nonce = nonceOf(world.random(nonceBytes))
  let trailer = nonce.subarray(nonceBytes - trailerBytes)
  let state: 'greeting' | 'agreed' | 'up' | 'ended' = 'greeting'
  let proof: Proof | undefined
  let greetedAt = -Infinity
  let stopPause: (() => void) | undefined
  let stopPatience = world.after(patienceMs, () => finish({ why: 'silent' }))

  const finish = (end: LinkEnd) => {
    if (state === 'ended') return
    state = 'ended'
    stopPause?.()
    stopPatience()
    stream.destroy()
    owner.ended(end)
  }
  const greet = () => {
    stopPause = undefined
    greetedAt = world.ticks()
    stream.write(hello(nonce))
  }
  const startAnew = () => {
    nonce = nonceOf(world.random(nonceBytes))
    trailer = nonce.subarray(nonceBytes - trailerBytes)
    stopPatience()
    stopPatience = world.after(patienceMs, () => finish({ why: 'silent' }))
    state = 'greeting'
    ears.expect(nonce)
  }
  const ears = ear({
    agree: () => {
      state = 'agreed'
      proof = undefined
    },
    awake: () => {
      if (state !== 'greeting' || stopPause) return
      const wait = greetedAt + helloPauseMs - world.ticks()
      if (wait > 0) stopPause = world.after(wait, greet)
      else greet()
    },
    lost: () => {
      startAnew()
      owner.down()
    },
    broken: (fault) => finish({ why: 'broken', fault }),
    frame: (type, id, payload) => {
      if (state === 'up') return owner.frame(type, id, payload)
      if (state === 'agreed') greeted(type, payload)
    },
  })
  /** What follows on AGREE: the challenge, and then the facts. An agent of another version says its facts at once. */
  const greeted = (type: number, payload: Buffer) => {
    if (type === answer.challenge && !proof) {
      proof = proofFor(payload, nonce, secret)
      if (!proof) return finish({ why: 'broken', fault: 'a challenge of no kind' })
      stream.write(pack(trailer, [{ type: proof.type, id: 0, payload: proof.payload }]))
    } else if (type === answer.error && proof) {
      finish({ why: 'stranger' })
    } else if (type === answer.facts) {
      const facts = factsOf(payload)
      const version = facts.get('protocol')
      if (version !== String(protocolVersion)) return finish({ why: 'foreign', fault: `version ${version} of the protocol` })
      if (!proof?.proves(facts.get('proof'))) return finish({ why: 'broken', fault: 'it does not prove that it knows our key' })
      trailer = Buffer.from(proof.ours)
      ears.seal(proof.theirs)
      stopPatience()
      stopPause?.()
      stopPause = undefined
      state = 'up'
      owner.up(facts)
    } else {
      finish({ why: 'broken', fault: `a frame of type ${type} instead of the facts` })
    }
  }

  stream.on('data', (chunk: Buffer) => {
    if (state !== 'ended') ears.hear(chunk)
  })
  stream.on('error', () => finish({ why: 'closed' }))
  stream.on('end', () => finish({ why: 'closed' }))
  stream.on('close', () => finish({ why: 'closed' }))
  ears.expect(nonce)
  greet()

  return {
    get up() {
      return state === 'up'
    },
    send(frames) {
      if (state !== 'up') return
      stream.write(pack(trailer, frames))
      if (stream.writableLength > mostUnreadBytes) finish({ why: 'broken', fault: `it reads nothing, and ${stream.writableLength} bytes wait for it` })
    },
    distrust: (fault) => finish({ why: 'broken', fault }),
    end() {
      if (state !== 'up') return finish({ why: 'closed' })
      const stop = world.after(farewellMs, () => stream.destroy())
      stream.once('close', stop)
      stream.end(pack(trailer, [{ type: ask.bye, id: 0 }]), () => stream.destroy())
      state = 'ended'
      owner.ended({ why: 'closed' })
    },
  }
}

/** Lines `name=value`; a guest may say anything, so nothing but short text is taken. */
function factsOf(payload: Buffer): Map<string, string> {
  const facts = new Map<string, string>()
  for (const line of payload.subarray(0, 4096).toString('latin1').split('\n')) {
    const [, name, value] = /^([a-z_]{1,32})=([\x20-\x7e]{0,256})$/.exec(line) ?? []
    if (name !== undefined && value !== undefined) facts.set(name, value)
  }
  return facts
}
