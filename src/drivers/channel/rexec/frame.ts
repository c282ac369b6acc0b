import { agreeMagic, answer, answerLimitBytes, awakeMagic, fillerBytes, headerBytes, helloMagic, nonceBytes, protocolVersion, trailerBytes } from './protocol.ts'

/** What the bytes of a guest mean. Called in order, from inside `hear`. */
export interface Listener {
  /** The guest answered our nonce; frames follow. */
  agree(): void
  /** The payload is a view of what came, and stays as it is. */
  frame(type: number, id: number, payload: Buffer): void
  /** An agent asks for a HELLO: it has just started, or lost the thread. */
  awake(): void
  /** Filler came where a frame should be: the agent we spoke with is no more. Greetings are looked for again. */
  lost(): void
  /** The guest breaks the protocol. Nothing more is heard. */
  broken(why: string): void
}

export interface Ear {
  /** Looks for the answer to this nonce from now on, and drops everything before it. */
  expect(nonce: Uint8Array): void
  /** The frames from the next one on end with this. */
  seal(trailer: Uint8Array): void
  hear(chunk: Buffer): void
}

type State = 'greeting' | 'framed' | 'deaf'

/** Finds greetings and frames in what a guest sends, however it is cut. Holds at most one frame; whole frames within a chunk are not copied. */
export function ear(listener: Listener): Ear {
  let state: State = 'deaf'
  let wanted = Buffer.alloc(0)
  let trailer = Buffer.alloc(0)
  let held = Buffer.alloc(0)
  let heldBytes = 0

  const hold = (size: number, bytes: Buffer) => {
    held = Buffer.allocUnsafe(size)
    heldBytes = bytes.copy(held)
  }
  const drop = () => {
    heldBytes = 0
    held = Buffer.alloc(0)
  }
  const lose = (): State => {
    drop()
    state = 'greeting'
    listener.lost()
    return state
  }
  const reject = (why: string): State => {
    drop()
    state = 'deaf'
    listener.broken(why)
    return state
  }

  /** Judges a header; the length of its whole frame, or 0 if the frame is none. */
  const judge = (bytes: Buffer, at: number): number => {
    const length = bytes.readUInt32LE(at)
    const type = bytes[at + 4] as number
    if (length <= answerLimitBytes && answers.has(type)) return headerBytes + length + trailerBytes
    if (type === 0) lose()
    else reject(`a frame of type ${type} with ${length} bytes`)
    return 0
  }

  const deliver = (bytes: Buffer, at: number, size: number) => {
    const end = at + size - trailerBytes
    for (let i = 0; i < trailerBytes; i++) {
      if (bytes[end + i] === trailer[i]) continue
      if (bytes[end + trailerBytes - 1] === 0) lose()
      else reject('a frame that does not end as agreed')
      return
    }
    listener.frame(bytes[at + 4] as number, bytes.readUInt32LE(at + 5), bytes.subarray(at + headerBytes, end))
  }

  /** Takes whole frames out of the chunk; the start of one that goes on is held. Gives how far it came. */
  const frames = (chunk: Buffer, from: number): number => {
    let at = from
    while (state === 'framed' && at < chunk.length) {
      if (heldBytes > 0) {
        at = complete(chunk, at)
        continue
      }
      const left = chunk.length - at
      if (left < headerBytes) {
        hold(headerBytes, chunk.subarray(at))
        return chunk.length
      }
      const size = judge(chunk, at)
      if (size === 0) break
      if (left < size) {
        hold(size, chunk.subarray(at))
        return chunk.length
      }
      deliver(chunk, at, size)
      at += size
    }
    return at
  }

  const complete = (chunk: Buffer, at: number): number => {
    const taken = chunk.copy(held, heldBytes, at, at + held.length - heldBytes)
    heldBytes += taken
    if (heldBytes < held.length) return at + taken
    const bytes = held
    if (bytes.length > headerBytes) {
      drop()
      deliver(bytes, 0, bytes.length)
      return at + taken
    }
    const size = judge(bytes, 0)
    if (size > 0) hold(size, bytes)
    return at + taken
  }

  /** Looks for the answer to our nonce, or an agent that asks for it. What may be the start of one is held. */
  const greetings = (chunk: Buffer, from: number): number => {
    const bytes = heldBytes > 0 ? Buffer.concat([held.subarray(0, heldBytes), chunk.subarray(from)]) : chunk.subarray(from)
    drop()
    const agreed = bytes.indexOf(wanted)
    if (agreed >= 0) {
      state = 'framed'
      listener.agree()
      return chunk.length - (bytes.length - agreed - wanted.length)
    }
    const awake = bytes.lastIndexOf(awakeMagic)
    const rest = bytes.subarray(Math.max(awake < 0 ? 0 : awake + awakeMagic.length, bytes.length - wanted.length + 1))
    if (rest.length > 0) hold(rest.length, rest)
    if (awake >= 0) listener.awake()
    return chunk.length
  }

  return {
    expect(nonce) {
      wanted = Buffer.concat([agreeMagic, nonce])
      trailer = Buffer.from(nonce.subarray(nonceBytes - trailerBytes))
      state = 'greeting'
      drop()
    },
    seal(given) {
      trailer = Buffer.from(given)
    },
    hear(chunk) {
      let at = 0
      while (at < chunk.length && state !== 'deaf') at = state === 'framed' ? frames(chunk, at) : greetings(chunk, at)
    },
  }
}

const answers = new Set<number>(Object.values(answer))

/** A nonce of `random` bytes: none of them is zero, so that filler never looks like its trailer. */
export const nonceOf = (random: Uint8Array): Buffer => Buffer.from(random.map((byte, at) => byte || 0xa5 ^ at))

/** What opens a connection: filler that ends whatever an earlier server left unfinished, then our nonce. */
export function hello(nonce: Uint8Array): Buffer {
  const bytes = Buffer.alloc(fillerBytes + helloMagic.length + nonceBytes + 4)
  helloMagic.copy(bytes, fillerBytes)
  bytes.set(nonce, fillerBytes + helloMagic.length)
  bytes.writeUInt32LE(protocolVersion, bytes.length - 4)
  return bytes
}

/** One frame for `pack`. */
export interface Frame {
  type: number
  id: number
  payload?: Uint8Array
}

/** Frames as they are sent, in one piece of memory. */
export function pack(trailer: Uint8Array, frames: readonly Frame[]): Buffer {
  let size = 0
  for (const { payload } of frames) size += headerBytes + (payload?.length ?? 0) + trailerBytes
  const bytes = Buffer.allocUnsafe(size)
  let at = 0
  for (const { type, id, payload } of frames) {
    const length = payload?.length ?? 0
    bytes.writeUInt32LE(length, at)
    bytes[at + 4] = type
    bytes.writeUInt32LE(id, at + 5)
    if (payload) bytes.set(payload, at + headerBytes)
    at += headerBytes + length
    bytes.set(trailer, at)
    at += trailerBytes
  }
  return bytes
}
