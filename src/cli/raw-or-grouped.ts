import type { FramePrinter, Told } from './vm-frames.ts'
import { groupedPrinter, type PrinterOptions, rawPrinter } from './vm-output.ts'

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
  let answer: Promise<number> | undefined
  let known: number | undefined
  const choose = async (count: number) => {
    chosen = count > 1 ? groupedPrinter(options) : rawPrinter(options)
    for (const act of waiting.splice(0)) await act(chosen)
    return chosen
  }
  const pass = async (act: (printer: FramePrinter) => Promise<void>) => {
    if (!chosen && begun > 1) await choose(begun)
    if (!chosen && known !== undefined) await choose(known)
    if (chosen) return act(chosen)
    waiting.push(act)
  }
  const ask = async () => {
    answer ??= options.count().then((count) => (known = count), () => (known = 2))
    if (bytes > waitingBytes && !chosen) await choose(await answer)
  }
  return {
    begin(told: Told) {
      begun++
      return pass((printer) => printer.begin(told))
    },
    async data(vm, stream, piece) {
      bytes += piece.length
      await pass((printer) => printer.data(vm, stream, piece))
      if (!chosen) await ask()
    },
    end: (vm, end) => pass((printer) => printer.end(vm, end)),
    async close() {
      await (chosen ?? (await choose(begun))).close()
    },
  }
}
