import { latest } from '../../../base/latest.ts'
import type { Beat } from '../channel.ts'

/** What guests say of themselves, for whoever wants to hear it. */
export interface Beats {
  /** Takes the payload of a BEAT; false if it is none. */
  take(payload: Buffer): boolean
  /** What was said last is said no more: the guest that said it may be another by now. */
  forget(): void
  /** The newest, as soon as there is one. */
  hear(signal: AbortSignal | undefined, closed: AbortSignal): AsyncIterable<Beat>
}

export function beats(): Beats {
  const listeners = new Set<(beat: Beat) => void>()
  let last: Beat | undefined
  return {
    take(payload) {
      if (payload.length !== 12) return false
      const beat = { load: payload.readUInt32LE(0) / 100, memUsedMb: payload.readUInt32LE(4), memTotalMb: payload.readUInt32LE(8) }
      last = beat
      for (const tell of listeners) tell(beat)
      return true
    },
    forget() {
      last = undefined
    },
    async *hear(signal, closed) {
      const news = latest<Beat>()
      const ends = [closed, ...(signal ? [signal] : [])]
      for (const one of ends) one.addEventListener('abort', news.end)
      listeners.add(news.tell)
      if (last) news.tell(last)
      try {
        if (!ends.some(({ aborted }) => aborted)) yield* news
      } finally {
        listeners.delete(news.tell)
        for (const one of ends) one.removeEventListener('abort', news.end)
      }
    },
  }
}
