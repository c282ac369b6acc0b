/** The writing side of a web stream whose writers wait for a slow reader, so that nothing fills the memory between them. */
export interface Paced<T> {
  readonly output: ReadableStream<T>
  /** Writes; a promise means: wait for it before the next. Undefined when the reader keeps up. */
  send(value: T): Promise<void> | undefined
  /** Writes without waiting: for the few values that end something. */
  tell(value: T): void
  end(): void
}

/** `sizeOf` counts in bytes what a value weighs unread, `limitBytes` is how much may wait. `onCancel` is called when the reader goes away before the end. */
export function paced<T>(options: { sizeOf: (value: T) => number; limitBytes: number; onCancel: () => void }): Paced<T> {
  let waiting: (() => void)[] = []
  let done = false
  const release = () => {
    const all = waiting
    waiting = []
    all.forEach((go) => go())
  }
  let controller!: ReadableStreamDefaultController<T>
  const output = new ReadableStream<T>(
    {
      start: (given) => {
        controller = given
      },
      pull: release,
      cancel() {
        done = true
        release()
        options.onCancel()
      },
    },
    { highWaterMark: options.limitBytes, size: options.sizeOf },
  )
  return {
    output,
    send(value) {
      if (done) return undefined
      controller.enqueue(value)
      if ((controller.desiredSize ?? 0) > 0) return undefined
      return new Promise((resolve) => waiting.push(resolve))
    },
    tell(value) {
      if (!done) controller.enqueue(value)
    },
    end() {
      if (done) return
      done = true
      controller.close()
      release()
    },
  }
}
