import { queue } from '../base/queue.ts'
import { outputAsItIs } from '../base/terminal-mode.ts'
import type { Keyboard } from '../cli/terminal.ts'

/**
 * Every key as it is pressed, and what is shown as it comes. The terminal is given back at any end of the process that Node sees, a second signal's or a crash's too.
 * Its raw mode still puts a carriage return before each line feed, which moves the cursor of full-screen programs: `stty` ends that.
 */
export function keyboard(): Keyboard {
  const { stdin, stdout, stderr } = process
  const screen = stdout.isTTY ? stdout : stderr
  const keys = queue<Uint8Array>()
  const size = () => ({ columns: screen.columns || 80, rows: screen.rows || 24 })
  const press = (data: Uint8Array) => keys.push(data)
  stdin.setRawMode(true)
  const giveBack = () => void stdin.setRawMode(false)
  // First of all: what else is done at the end may be the last thing this process does.
  process.prependListener('exit', giveBack)
  outputAsItIs()
  stdin.on('data', press)
  stdin.once('end', keys.end)
  stdin.once('error', keys.end) // The window was closed.
  stdin.resume()
  let held = true
  return {
    keys,
    size,
    resized(tell) {
      const changed = () => tell(size())
      screen.on('resize', changed)
      return () => void screen.off('resize', changed)
    },
    [Symbol.dispose]() {
      if (!held) return
      held = false
      stdin.off('data', press)
      stdin.pause()
      keys.end()
      process.off('exit', giveBack)
      giveBack()
    },
  }
}
