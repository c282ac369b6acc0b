import { fail } from '../model/errors.ts'

/** Bytes of messages that may be under way in one direction of a session before the reader has asked for more. */
export const windowBytes = 1024 * 1024
/** Data travels in pieces of at most this size, so that no message is much larger than another. */
export const pieceBytes = 256 * 1024

/**
 * The sending half of flow control. TCP cannot do this: a browser's WebSocket takes whatever comes, and a session that nobody reads must not fill
 * the memory of either side.
 */
export interface SendWindow {
  /** Resolves when a message of this size may be sent. One at a time. */
  take(bytes: number): Promise<void>
  /** The reader has consumed so many bytes. */
  give(bytes: number): void
  /** Lets a waiting `take` reject. */
  close(): void
}

export function sendWindow(): SendWindow {
  let left = windowBytes
  let closed = false
  let wake: (() => void) | undefined
  const rouse = () => {
    wake?.()
    wake = undefined
  }
  return {
    async take(bytes) {
      while (left <= 0 && !closed) await new Promise<void>((resolve) => (wake = resolve))
      if (closed) fail('unavailable', 'the session is over')
      left -= bytes
    },
    give(bytes) {
      left = Math.min(windowBytes, left + bytes)
      if (left > 0) rouse()
    },
    close() {
      closed = true
      rouse()
    },
  }
}

/** The receiving half: tells the sender, not for every message, what was consumed, and notices a sender that does not heed it. */
export interface ReceiveWindow {
  /** A message has arrived. Refuses with `too_large` once a heedless sender has sent twice what it may. */
  arrived(bytes: number): void
  /** The reader has taken it. */
  consumed(bytes: number): void
}

export function receiveWindow(grant: (bytes: number) => void): ReceiveWindow {
  let outstanding = 0
  let owed = 0
  return {
    arrived(bytes) {
      outstanding += bytes
      if (outstanding > 2 * windowBytes) fail('too_large', 'more was sent than the window allows')
    },
    consumed(bytes) {
      outstanding -= bytes
      owed += bytes
      if (owed < windowBytes / 2) return
      grant(owed)
      owed = 0
    },
  }
}

/** The bytes in pieces of at most `pieceBytes`; no bytes are no piece. */
export function* pieces(data: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < data.length; at += pieceBytes) yield data.subarray(at, at + pieceBytes)
}
