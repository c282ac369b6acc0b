import type { SessionFrame } from '../model/session.ts'

/** The writing side of a session's output. `send` resolves when the reader has caught up, so a slow reader slows the guest down and fills no memory. */
export interface Frames {
  readonly output: ReadableStream<SessionFrame>
  /** Undefined when the reader keeps up: nothing to wait for. */
  send(frame: SessionFrame): Promise<void> | undefined
  end(): void
}

/** Unread bytes a session may hold before its writers wait. */
const unreadLimitBytes = 1 << 20

/** `onCancel` is called when the reader goes away before the end. */
export function frames(onCancel: () => void): Frames {
  let waiting: (() => void)[] = []
  let done = false
  const release = () => {
    const all = waiting
    waiting = []
    all.forEach((go) => go())
  }
  let controller!: ReadableStreamDefaultController<SessionFrame>
  const output = new ReadableStream<SessionFrame>(
    {
      start: (given) => {
        controller = given
      },
      pull: release,
      cancel() {
        done = true
        release()
        onCancel()
      },
    },
    { highWaterMark: unreadLimitBytes, size: (frame) => 100 + ('data' in frame ? frame.data.length : 0) },
  )
  return {
    output,
    send(frame) {
      if (done) return undefined
      controller.enqueue(frame)
      if ((controller.desiredSize ?? 0) > 0) return undefined
      return new Promise((resolve) => waiting.push(resolve))
    },
    end() {
      if (done) return
      done = true
      controller.close()
      release()
    },
  }
}
