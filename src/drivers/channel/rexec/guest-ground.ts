import assert from 'node:assert/strict'
import { createHash, createHmac } from 'node:crypto'
import { type Duplex, duplexPair } from 'node:stream'
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import { silentLog } from '../../../base/log.ts'
import type { World } from '../../../base/world.ts'
import type { Channel } from '../channel.ts'
import { guestOf } from '../ground.ts'
import { channels } from '../index.ts'
import { type Frame, pack } from './frame.ts'
import { proofFor } from './proof.ts'
import { agreeMagic, answer, answerLimitBytes, ask, awakeMagic, fillerBytes, headerBytes, helloMagic, nonceBytes, trailerBytes } from './protocol.ts'

/** What an agent says that wants to be greeted. */
export const awake = Buffer.concat([Buffer.alloc(headerBytes + answerLimitBytes + trailerBytes), awakeMagic])

/** The other end of one dialled stream: a guest that does what the test says. */
export function guestOn(stream: Duplex) {
  let bytes = Buffer.alloc(0)
  let trailer: Uint8Array = Buffer.alloc(trailerBytes)
  let theirs: Uint8Array = trailer
  let closed = false
  stream.on('data', (chunk: Buffer) => (bytes = Buffer.concat([bytes, chunk])))
  stream.on('end', () => (closed = true))
  stream.on('close', () => (closed = true))
  stream.on('error', () => undefined)
  const until = async <T>(what: string, look: () => T | undefined, tries = 2000): Promise<T> => {
    for (let n = 0; n < tries; n++) {
      const found = look()
      if (found !== undefined) return found
      await (n < 100 ? turn() : sleep(1))
    }
    throw new Error(`there was no ${what}`)
  }
  const guest = {
    stream,
    closed: () => until('close', () => closed || undefined),
    isClosed: () => closed,
    /** That the host says nothing more for now. */
    async silence() {
      const before = bytes.length
      for (let n = 0; n < 100; n++) await turn()
      assert.equal(bytes.length, before)
    },
    /** Waits for a HELLO; its nonce. */
    async hello(): Promise<Buffer> {
      const at = await until('HELLO', () => (bytes.indexOf(helloMagic) >= 0 && bytes.length >= bytes.indexOf(helloMagic) + 36 ? bytes.indexOf(helloMagic) : undefined))
      assert.ok(bytes.subarray(at - fillerBytes, at).every((byte) => byte === 0))
      const nonce = Buffer.from(bytes.subarray(at + helloMagic.length, at + helloMagic.length + nonceBytes))
      bytes = bytes.subarray(at + helloMagic.length + nonceBytes + 4)
      return nonce
    },
    /** Agrees as an agent of another version does, which asks for no proof. */
    agree(nonce: Uint8Array, facts: string) {
      trailer = theirs = nonce.subarray(nonceBytes - trailerBytes)
      stream.write(Buffer.concat([agreeMagic, nonce, pack(trailer, [{ type: answer.facts, id: 0, payload: Buffer.from(facts) }])]))
    },
    /** Agrees, and asks for proof; what the host has to say to it. */
    challenge(nonce: Uint8Array, known = 1, secret = new Uint8Array(32).fill(7)) {
      trailer = theirs = nonce.subarray(nonceBytes - trailerBytes)
      const challenge = Buffer.concat([Buffer.of(known), Buffer.from('fresh-guest-nonc')])
      stream.write(Buffer.concat([agreeMagic, nonce, pack(theirs, [{ type: answer.challenge, id: 0, payload: challenge }])]))
      const proof = proofFor(challenge, nonce, secret)
      assert.ok(proof)
      const mac = createHmac('sha256', secret).update('tt-rexec guest\0').update(nonce).update(challenge.subarray(1)).digest('hex')
      return { ...proof, facts: `protocol=2\nproof=${mac}\n` }
    },
    /** Greets as it should; the trailer of its frames from then on. */
    async greet(nonce?: Buffer): Promise<Uint8Array> {
      const wanted = guest.challenge(nonce ?? (await guest.hello()))
      assert.deepEqual((await guest.next(ask.proof)).payload, Buffer.from(wanted.payload))
      trailer = wanted.ours
      guest.say({ type: answer.facts, id: 0, payload: Buffer.from(wanted.facts) })
      theirs = wanted.theirs
      return theirs
    },
    say: (...frames: Frame[]) => stream.write(pack(theirs, frames)),
    /** The next frame of the host. */
    next: (type: number) =>
      until(`frame of type ${type}`, () => {
        for (let at = 0; at + headerBytes <= bytes.length; ) {
          const length = bytes.readUInt32LE(at)
          const end = at + headerBytes + length + trailerBytes
          if (end > bytes.length) return undefined
          const frame = { type: bytes.readUInt8(at + 4), id: bytes.readUInt32LE(at + 5), payload: bytes.subarray(at + headerBytes, end - trailerBytes) }
          assert.deepEqual(bytes.subarray(end - trailerBytes, end), Buffer.from(trailer))
          bytes = bytes.subarray(end)
          if (frame.type === type) return frame
          at = 0
        }
        return undefined
      }),
  }
  return guest
}

/** Time that passes when the test says so. */
function handWorld() {
  let now = 0
  let last = 0
  let drawn = 0
  const timers = new Map<() => void, { at: number; n: number; run: () => void }>()
  const world: World & { pass(ms: number): Promise<void>; timers: number } = {
    now: () => now,
    ticks: () => now,
    sleep: (ms) => new Promise((resolve) => world.after(ms, resolve)),
    after(ms, run) {
      const stop = () => void timers.delete(stop)
      timers.set(stop, { at: now + ms, n: last++, run })
      return stop
    },
    breathe: async () => undefined,
    random: (count) => createHash('sha256').update(String(drawn++)).digest().subarray(0, count),
    get timers() {
      return timers.size
    },
    async pass(ms) {
      const end = now + ms
      for (;;) {
        for (let n = 0; n < 5; n++) await turn()
        const [next] = [...timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at || a.n - b.n)
        if (!next) break
        timers.delete(next[0])
        now = Math.max(now, next[1].at)
        next[1].run()
      }
      now = end
    },
  }
  return world
}

/** A channel to guests that do what the test says, in a world whose time the test passes. */
export async function channelTo(dial?: () => Promise<Duplex>, secret = new Uint8Array(32).fill(7)) {
  const world = handWorld()
  const guests: ReturnType<typeof guestOn>[] = []
  const make = await channels.rexec()
  const channel = make(guestOf({
    id: 'g',
    secret,
    world,
    log: silentLog,
    dial:
      dial ??
      (async () => {
        const [ours, theirs] = duplexPair({ highWaterMark: 1 << 20 })
        guests.push(guestOn(theirs))
        return ours
      }),
  }))
  const guest = async (n: number) => {
    for (let turns = 0; turns < 500 && !guests[n]; turns++) await turn()
    assert.ok(guests[n], `dialled ${guests.length} times`)
    return guests[n]
  }
  return { channel, world, guests, guest, [Symbol.asyncDispose]: () => channel[Symbol.asyncDispose]() }
}

/** Whether the guest has answered. */
export const isReady = async (channel: Channel) => {
  let ready = false
  channel.ready().then(
    () => (ready = true),
    () => undefined,
  )
  for (let n = 0; n < 20; n++) await turn()
  return ready
}
