import type { Invocation } from './invocation.ts'
import type { Screen } from './terminal.ts'
import { bytesText, type Tally, type Transfer } from './transfer-tally.ts'
import { counted, cut, visible } from './text.ts'

/** How far each VM is, on a terminal: a line for each that goes on, up to a bound, and one for all. Nothing elsewhere, nor with -q, nor of what is over at once. */
export interface Board extends AsyncDisposable {
  /** Something has changed. */
  touch(): void
}

const everyMs = 100
/** Not before: what is over by then needs no picture. */
const patienceMs = 300
const mostLines = 8
const barWidth = 20

export function board({ terminal, quiet }: Pick<Invocation, 'terminal' | 'quiet'>, tally: Tally): Board {
  const { err, world } = terminal
  if (quiet || !err.screen()) return { touch: () => undefined, [Symbol.asyncDispose]: async () => undefined }
  let lines = 0
  let timer: (() => void) | undefined
  let writing = Promise.resolve()
  let waitMs = patienceMs
  const write = (text: string) => {
    writing = writing.then(() => err.write(text))
  }
  const clear = () => (lines === 0 ? '' : `\x1b[${lines}A\r\x1b[J`)
  const draw = () => {
    timer = undefined
    waitMs = everyMs
    const screen = err.screen()
    if (!screen) return
    const shown = pageOf(tally, screen, world.ticks())
    write(clear() + shown.map((line) => `${line}\n`).join(''))
    lines = shown.length
  }
  return {
    touch: () => void (timer ??= world.after(waitMs, draw)),
    async [Symbol.asyncDispose]() {
      timer?.()
      timer = () => undefined // Nothing is drawn any more.
      if (lines > 0) write(clear())
      await writing
    },
  }
}

function pageOf(tally: Tally, screen: Screen, now: number): string[] {
  const open = tally.open()
  const room = Math.max(1, Math.min(mostLines, (screen.rows ?? 24) - 4))
  const shown = open.slice(0, room)
  const width = shown.reduce((most, { vm }) => Math.max(most, vm.length), 3)
  const all = [...tally.vms.values()]
  const moved = all.reduce((sum, { movedBytes }) => sum + movedBytes, 0)
  const first = Math.min(...all.map(({ began }) => began))
  const lines = shown.map((one) => lineOf(one, width, now))
  const more = open.length - shown.length
  const rate = now > first ? `, ${bytesText(Math.round((moved * 1000) / (now - first)))}/s` : ''
  lines.push(`${more > 0 ? `and ${more} more; ` : ''}${all.length - open.length} of ${counted(all.length, 'VM')} done, ${bytesText(moved)} moved${rate}`)
  return lines.map((line) => cut(visible(line), screen.columns - 1))
}

function lineOf({ vm, bytes, totalBytes, began }: Transfer, width: number, now: number): string {
  const seconds = Math.floor((now - began) / 1000)
  if (totalBytes === undefined || totalBytes === 0) return `${vm.padEnd(width)}  ${bytesText(bytes)}  ${seconds} s`
  const share = Math.min(1, bytes / totalBytes)
  const full = Math.floor(share * barWidth)
  return `${vm.padEnd(width)}  [${'#'.repeat(full)}${'-'.repeat(barWidth - full)}] ${String(Math.floor(share * 100)).padStart(3)}%  ${bytesText(bytes)} of ${bytesText(totalBytes)}  ${seconds} s`
}
