import { duration } from '../model/units.ts'
import type { Invocation } from './invocation.ts'
import { cut, visible } from './text.ts'

/** How far something long is, on standard error: one line that is written anew on a screen, otherwise a line for each news. Nothing with -q, nor of what is over at once. */
export interface Progress extends AsyncDisposable {
  show(text: string): void
}

const screenEveryMs = 100
const linesEveryMs = 1000

export function progress({ terminal, quiet, json }: Pick<Invocation, 'terminal' | 'quiet' | 'json'>): Progress {
  const { err, world } = terminal
  const screen = err.screen()
  if (quiet || (json && !screen)) return { show: () => undefined, [Symbol.asyncDispose]: async () => undefined }
  const began = world.ticks()
  let shown = ''
  let wanted = ''
  let stop: (() => void) | undefined
  let soon = false
  let writing = Promise.resolve()
  const write = (text: string) => {
    writing = writing.then(() => err.write(text))
  }
  const draw = () => {
    stop = undefined
    soon = false
    const seconds = (world.ticks() - began) / 1000
    if (screen) write(`\r${cut(`${visible(wanted)}, ${duration(seconds)}`, screen.columns - 1)}\x1b[K`)
    else if (wanted !== shown) write(`${visible(wanted)}\n`)
    shown = wanted
    stop = world.after(screen ? 1000 : linesEveryMs, draw)
  }
  return {
    show(text) {
      if (text === wanted) return
      const first = wanted === ''
      wanted = text
      if (soon || (!first && !screen)) return // Its turn comes with the next line.
      soon = true
      stop?.()
      stop = world.after(screen ? screenEveryMs : linesEveryMs, draw)
    },
    async [Symbol.asyncDispose]() {
      stop?.()
      if (screen && shown !== '') write('\r\x1b[K')
      await writing
    },
  }
}
