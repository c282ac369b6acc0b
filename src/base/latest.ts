/** The newest of what was told, for one reader who is slower than the news: what was told and not read when something newer comes is forgotten. */
export interface Latest<T> extends AsyncIterable<T> {
  tell(value: T): void
  end(): void
}

export function latest<T>(): Latest<T> {
  let news: { value: T } | undefined
  let ended = false
  let wake: (() => void) | undefined
  const rouse = () => {
    wake?.()
    wake = undefined
  }
  return {
    tell(value) {
      if (ended) return
      news = { value }
      rouse()
    },
    end() {
      ended = true
      rouse()
    },
    async *[Symbol.asyncIterator]() {
      try {
        for (;;) {
          const now = news
          news = undefined
          if (now) yield now.value
          else if (ended) return
          else await new Promise<void>((resolve) => (wake = resolve))
        }
      } finally {
        ended = true
      }
    },
  }
}
