import type { ServerResponse } from 'node:http'

/** Enough to be worth a system call of its own. */
const flushBytes = 64 * 1024

/**
 * Text on its way out. Pieces written in one turn of the event loop leave as one packet, the head of the answer with them: `nextTick` runs when no promise is
 * left to settle, so a chain of frames that are all there goes out whole, and the head goes alone if there is nothing yet.
 */
export interface Outflow {
  /** A client that is gone takes everything. */
  write(text: string): void
  /** Resolves when the network has room for more; undefined if it has. */
  room(): Promise<void> | undefined
  flush(): void
}

export function outflow(response: ServerResponse): Outflow {
  let waiting = ''
  let headSent = false
  let scheduled = false
  const flush = () => {
    scheduled = false
    if (response.destroyed || response.writableEnded) return
    const text = waiting
    waiting = ''
    if (text !== '') response.write(text)
    else if (!headSent) response.flushHeaders()
    headSent = true
  }
  const schedule = () => {
    scheduled = true
    process.nextTick(flush)
  }
  schedule()
  return {
    flush,
    write(text) {
      waiting += text
      if (waiting.length >= flushBytes) flush()
      else if (!scheduled) schedule()
    },
    room: () => (response.writableNeedDrain && !response.destroyed ? drained(response) : undefined),
  }
}

/** Resolves when the response can take more, or never will. */
export const drained = (response: ServerResponse): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      response.off('drain', done).off('close', done)
      resolve()
    }
    response.on('drain', done).on('close', done)
  })
