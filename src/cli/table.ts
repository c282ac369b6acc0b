import type { Screen } from './terminal.ts'
import { type Colour, cut, painted, visible } from './text.ts'

export interface Column<R> {
  title: string
  text(row: R): string
  colour?(row: R): Colour | undefined
  align?: 'right'
  /** May be cut on a narrow screen; addresses and numbers are of no use then, prose is. */
  cut?: true
}

const gap = 2
/** A column is not cut below this. */
const leastWidth = 6

/**
 * Rows under titles, aligned. To a file or pipe every cell is whole; on a screen columns that may be are cut until a line
 * fits, and otherwise it is longer. What is in a cell is made visible, so nothing that comes from elsewhere can draw on the screen.
 */
export function table<R>(rows: readonly R[], columns: readonly Column<R>[], screen?: Screen): string {
  const cells = rows.map((row) => columns.map(({ text }) => visible(text(row)) || '-'))
  const natural = columns.map(({ title }, at) => cells.reduce((width, line) => Math.max(width, line[at]?.length ?? 0), title.length))
  const widths = screen ? fitted(natural, columns, screen.columns) : natural
  const line = (texts: readonly string[], colourOf: (at: number) => Colour | undefined) =>
    texts
      .map((text, at) => {
        const width = widths[at] ?? 0
        const shown = cut(text, width)
        const padding = ' '.repeat(width - shown.length)
        const paint = painted(shown, colourOf(at), screen)
        return columns[at]?.align === 'right' ? padding + paint : paint + padding
      })
      .join(' '.repeat(gap))
      .trimEnd()
  const titles = line(
    columns.map(({ title }) => title),
    () => 'bold',
  )
  return [titles, ...cells.map((texts, row) => line(texts, (at) => columns[at]?.colour?.(rows[row] as R)))].join('\n')
}

/** `key  value` lines, aligned. */
export function facts(pairs: readonly (readonly [string, string])[]): string {
  const width = Math.max(0, ...pairs.map(([key]) => key.length))
  return pairs.map(([key, value]) => `${key.padEnd(width)}  ${visible(value) || '-'}`).join('\n')
}

/** Takes from the widest column that may be cut, one character at a time, until the line fits. */
function fitted(natural: readonly number[], columns: readonly { cut?: true }[], room: number): number[] {
  const widths = [...natural]
  let excess = widths.reduce((sum, width) => sum + width, gap * (widths.length - 1)) - room
  for (; excess > 0; excess--) {
    const most = Math.max(...widths.filter((_, at) => columns[at]?.cut))
    if (most <= leastWidth) break
    widths[widths.findIndex((width, at) => width === most && columns[at]?.cut)] = most - 1
  }
  return widths
}
