import type { World } from '../base/world.ts'
import type { Call } from '../model/call.ts'
import type { Session, SessionFrame, SessionInput, SessionRequest } from '../model/session.ts'
import { type Happening, happenings } from './happenings.ts'
import type { Truth } from './truth.ts'

/** What happened lately in this cloud, remembered by this process: bounded, and begun anew with it. */
export interface Events extends Disposable {
  open(request: Extract<SessionRequest, { type: 'events' }>, call?: Call): Session
}

const keptEvents = 5000

/** Remembers the last `limit` events. Readers go through them at their own pace; one that falls behind is told how many it missed, and none costs memory of its own. */
export function events(truth: Truth, { world, limit = keptEvents }: { world: World; limit?: number }): Events {
  let kept: Happening[] = []
  /** The number of the oldest that is kept, of all there ever were. */
  let first = 0
  const waiting = new Set<() => void>()
  const rouse = () => {
    const all = [...waiting]
    waiting.clear()
    all.forEach((go) => go())
  }
  const source = happenings(truth, world, (one) => {
    kept.push(one)
    if (kept.length > limit + (limit >> 2)) {
      first += kept.length - limit
      kept = kept.slice(-limit)
    }
    rouse()
  })
  return {
    open({ follow = false, envs }, call) {
      const wanted = envs && new Set(envs)
      const end = follow ? Infinity : first + kept.length
      let next = Math.max(first, first + kept.length - limit)
      let stopped = false
      const stop = () => {
        stopped = true
        rouse()
      }
      call?.signal?.addEventListener('abort', stop, { once: true })
      if (call?.signal?.aborted) stop()
      const one = (): SessionFrame | undefined => {
        if (next < first) {
          const missed = first - next
          next = first
          return { type: 'note', text: `${missed} events were forgotten before they were read` }
        }
        for (; next < Math.min(end, first + kept.length); ) {
          const happening = kept[next++ - first]
          if (happening && (!wanted || (happening.env !== undefined && wanted.has(happening.env)))) return { type: 'event', event: happening.event }
        }
        return undefined
      }
      const output = new ReadableStream<SessionFrame>(
        {
          async pull(controller) {
            for (;;) {
              const frame = stopped ? undefined : one()
              if (frame) return controller.enqueue(frame)
              if (stopped || !follow) return controller.close()
              await new Promise<void>((resolve) => waiting.add(resolve))
            }
          },
          cancel: stop,
        },
        { highWaterMark: 0 },
      )
      return {
        output,
        input: new WritableStream<SessionInput>(),
        async [Symbol.asyncDispose]() {
          call?.signal?.removeEventListener('abort', stop)
          stop()
        },
      }
    },
    [Symbol.dispose]() {
      source[Symbol.dispose]()
    },
  }
}
