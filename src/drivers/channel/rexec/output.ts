import { windowBytes } from './protocol.ts'

/** One output stream of one command on its way to whoever reads it. */
export interface Output {
  /** Takes a piece; false if the guest sent more than it had credit for. */
  take(piece: Buffer): boolean
  /** Everything taken was read, and nothing is being read. */
  readonly idle: boolean
  /** Reads no more, and forgets what was not read. */
  drop(): void
}

export interface OutputReader {
  read(piece: Uint8Array): void | Promise<void>
  /** The guest may send so much more. */
  credit(bytes: number): void
  /** A promise of the reader resolved and nothing is left. */
  drained(): void
  /** The reader threw. */
  failed(fault: unknown): void
}

/** Gives pieces to the reader one by one, waiting for its promises, and credit back to the guest as they are read. */
export function output(reader: OutputReader): Output {
  const waiting: Buffer[] = []
  let reading = false
  let dropped = false
  let allowed = windowBytes
  let owed = 0

  const settle = (bytes: number) => {
    owed += bytes
    if (owed < windowBytes / 4 || dropped) return
    allowed += owed
    reader.credit(owed)
    owed = 0
  }
  const fault = (thrown: unknown) => {
    if (!dropped) reader.failed(thrown)
  }
  /** Undefined if the piece was read at once. */
  const give = (piece: Buffer): Promise<void> | undefined => {
    try {
      const promise = reader.read(piece)
      if (promise) return promise
      settle(piece.length)
    } catch (thrown) {
      fault(thrown)
    }
    return undefined
  }
  const follow = async (promise: Promise<void>, bytes: number) => {
    reading = true
    try {
      await promise
      settle(bytes)
      for (let piece = waiting.shift(); piece && !dropped; piece = waiting.shift()) {
        await give(piece)?.then(settle.bind(undefined, piece.length))
      }
    } catch (thrown) {
      fault(thrown)
    }
    reading = false
    if (!dropped) reader.drained()
  }

  return {
    get idle() {
      return !reading && waiting.length === 0
    },
    take(piece) {
      allowed -= piece.length
      if (allowed < 0) return false
      if (dropped) return true
      if (reading) {
        waiting.push(piece)
        return true
      }
      const promise = give(piece)
      // Its faults go to the reader.
      if (promise) follow(promise, piece.length).catch(fault)
      return true
    },
    drop() {
      dropped = true
      waiting.length = 0
    },
  }
}
