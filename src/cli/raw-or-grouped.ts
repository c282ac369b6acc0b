import { type PrinterOptions, rawPrinter } from './raw-printer.ts'
import type { FramePrinter, Told } from './vm-frames.ts'

/** What comes before it is known how many VMs there are waits; beyond this, for the answer. */
const waitingBytes = 1024 * 1024

/**
 * One VM raw, several in groups. How many there will be is asked only if the first has something to say before a second begins, and a
 * command that is over by then never waits for the answer.
 */
export function rawOrGrouped(options: PrinterOptions & { count: () => Promise<number> }): FramePrinter {
  const waiting: ((printer: FramePrinter) => Promise<void>)[] = []
  let begun = 0
  let bytes = 0
  let chosen: FramePrinter | undefined
  let asked: Promise<void> | undefined
  let turns: Promise<unknown> = Promise.resolve()
  /** The answer comes at any time, so frames and it take turns. */
  const inTurn = <T>(act: () => Promise<T>): Promise<T> => {
    const turn = turns.then(act)
    turns = turn.catch(() => undefined)
    return turn
  }
  const choose = async (count: number) => {
    chosen = count > 1 ? (await import('./vm-output.ts')).groupedPrinter(options) : rawPrinter(options)
    for (const act of waiting.splice(0)) await act(chosen)
    return chosen
  }
  const pass = (act: (printer: FramePrinter) => Promise<void>) =>
    inTurn(async () => {
      if (!chosen && begun > 1) await choose(begun)
      if (chosen) return act(chosen)
      waiting.push(act)
    })
  const ask = async () => {
    const count = await options.count().catch(() => 2)
    // At once, not with the next frame: that may be long in coming.
    await inTurn(async () => {
      if (!chosen) await choose(count)
    })
  }
  return {
    begin(told: Told) {
      begun++
      return pass((printer) => printer.begin(told))
    },
    async data(vm, stream, piece) {
      bytes += piece.length
      await pass((printer) => printer.data(vm, stream, piece))
      if (!chosen) asked ??= ask().catch(() => undefined) // Only Ctrl-C, which whoever reads the frames hears too.
      if (!chosen && bytes > waitingBytes) await asked
    },
    end: (vm, end) => pass((printer) => printer.end(vm, end)),
    async close() {
      await inTurn(async () => (chosen ?? (await choose(begun))).close())
    },
  }
}
