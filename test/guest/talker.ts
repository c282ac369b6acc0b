import { randomBytes } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { ear, type Frame, hello, nonceOf, pack } from '../../src/drivers/channel/rexec/frame.ts'
import { answer, ask, execFlag, nonceBytes, trailerBytes } from '../../src/drivers/channel/rexec/protocol.ts'
import { type Proof, proofFor } from '../../src/drivers/channel/rexec/proof.ts'
import { requestOf } from '../../src/drivers/channel/rexec/request.ts'
import type { Command } from '../../src/model/session.ts'

/** As `guestOf` of the channels' tests has it. */
const theSecret = new Uint8Array(32).fill(7)

export interface Heard {
  type: number
  id: number
  payload: Buffer
}

/** Speaks the protocol frame by frame, as no channel would: for tests of what an agent does with a host that misbehaves. */
export function talker(stream: Duplex) {
  const heard: Heard[] = []
  const waiting = new Set<() => void>()
  let trailer: Uint8Array = Buffer.alloc(trailerBytes)
  let awakes = 0
  let greeting: Uint8Array = Buffer.alloc(nonceBytes)
  let agreed = false
  let proof: Proof | undefined
  const rouse = () => {
    for (const wake of waiting) wake()
  }
  const ears = ear({
    agree: () => (agreed = true),
    awake: () => {
      awakes++
      rouse()
    },
    lost: () => ears.expect(Buffer.alloc(nonceBytes, 1)),
    broken: (why) => {
      throw new Error(`the agent broke the protocol: ${why}`)
    },
    frame: (type, id, payload) => {
      if (type === answer.beat) return // It comes by itself.
      heard.push({ type, id, payload })
      if (type === answer.facts && proof) ears.seal(proof.theirs)
      rouse()
    },
  })
  ears.expect(Buffer.alloc(nonceBytes))
  stream.on('data', (chunk: Buffer) => ears.hear(chunk))

  /** The first value `look` gives for what was heard, now or later. */
  const until = async <T>(what: string, look: () => T | undefined, ms = 10_000): Promise<T> => {
    const end = performance.now() + ms
    for (;;) {
      const found = look()
      if (found !== undefined) return found
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => {
          waiting.delete(wake)
          reject(new Error(`${what}: not within ${ms} ms; heard ${heard.map(({ type, id }) => `${type.toString(16)}:${id}`).join(' ')}`))
        }, end - performance.now())
        const wake = () => {
          clearTimeout(timer)
          waiting.delete(wake)
          resolve()
        }
        waiting.add(wake)
      })
    }
  }
  const take = (match: (one: Heard) => boolean): Heard | undefined => {
    const at = heard.findIndex(match)
    return at < 0 ? undefined : heard.splice(at, 1)[0]
  }

  const talk = {
    heard,
    get awakes() {
      return awakes
    },
    write: (bytes: Uint8Array) => void stream.write(bytes),
    send: (...frames: Frame[]) => void stream.write(pack(trailer, frames)),
    pack: (...frames: Frame[]) => pack(trailer, frames),
    /** Listens to nothing until the next HELLO. */
    ignore: () => ears.expect(Buffer.alloc(nonceBytes, 1)),
    /** Says HELLO with a nonce of its own and waits for the challenge. */
    async hail(nonce: Buffer = nonceOf(randomBytes(nonceBytes))): Promise<Buffer> {
      heard.length = 0
      agreed = false
      proof = undefined
      greeting = nonce
      trailer = nonce.subarray(nonceBytes - trailerBytes)
      ears.expect(nonce)
      stream.write(hello(nonce))
      return (await until('challenge', () => (agreed ? take(({ type }) => type === answer.challenge) : undefined))).payload
    },
    /** How the last greeting was proven. */
    proven: () => proof,
    /** The proof for a challenge, which only a guest that knows the secret accepts. */
    proofFor: (challenge: Buffer, secret: Uint8Array = theSecret) => proofFor(challenge, greeting, secret),
    /** Says HELLO, proves itself, and waits for the facts. */
    async greet(nonce?: Buffer, secret?: Uint8Array): Promise<string> {
      const given = talk.proofFor(await talk.hail(nonce), secret)
      if (!given) throw new Error('the challenge is none')
      proof = given
      talk.send({ type: given.type, id: 0, payload: given.payload })
      trailer = given.ours
      const facts = await until('facts', () => take(({ type }) => type === answer.facts))
      return facts.payload.toString()
    },
    awake: (count: number) => until(`awake ${count}`, () => (awakes >= count ? true : undefined)),
    next: (type: number, id: number, ms?: number) => until(`a frame ${type.toString(16)}:${id}`, () => take((one) => one.type === type && one.id === id), ms),
    exec: (id: number, command: Command, options: { stdin?: boolean; env?: Record<string, string>; cwd?: string } = {}) =>
      talk.send(execFrame(id, requestOf(command, options), options.stdin ? 0 : execFlag.noStdin)),
    /** Runs shell text to its end. */
    async run(id: number, shell: string, ms?: number) {
      talk.exec(id, { shell })
      const exit = await talk.next(answer.exit, id, ms)
      const said = (type: number) => Buffer.concat(heard.filter((one) => one.id === id && one.type === type).map(({ payload }) => payload)).toString()
      return { stdout: said(answer.stdout), stderr: said(answer.stderr), exit: [...exit.payload] }
    },
  }
  return talk
}

export const execFrame = (id: number, body: Uint8Array, flags: number): Frame => ({ type: ask.exec, id, payload: Buffer.concat([Uint8Array.of(flags), body]) })
