import type { ReadStream } from 'node:tty'
import { queue } from '../base/queue.ts'
import type { Keyboard, Output, Screen, Terminal } from '../cli/terminal.ts'

type Streams = Pick<Terminal, 'out' | 'err' | 'sameSink' | 'input' | 'keyboard'>

/** The process' own streams. Each is opened when it is first used: a command that says nothing, as `tt env run X --cmd true`, opens none. */
export function clientStreams(env: NodeJS.ProcessEnv): Streams {
  return {
    out: output(1, env),
    err: output(2, env),
    sameSink() {
      const fs = process.getBuiltinModule('node:fs')
      const [one, two] = [fs.fstatSync(1), fs.fstatSync(2)]
      return one.dev === two.dev && one.ino === two.ino
    },
    input: () => process.stdin,
    keyboard: () => (process.stdin.isTTY ? keyboard(process.stdin) : undefined),
  }
}

/**
 * Every key as it is pressed, and what is shown as it comes. Node gives the terminal back at any end of the process that it sees, a signal's or a crash's too.
 * Its raw mode still puts a carriage return before each line feed, which moves the cursor of full-screen programs: `stty` ends that.
 */
function keyboard(stdin: ReadStream): Keyboard {
  const { stdout, stderr } = process
  const screen = stdout.isTTY ? stdout : stderr
  const keys = queue<Uint8Array>()
  const size = () => ({ columns: screen.columns || 80, rows: screen.rows || 24 })
  const press = (data: Uint8Array) => keys.push(data)
  stdin.setRawMode(true)
  process.getBuiltinModule('node:child_process').spawnSync('stty', ['-opost'], { stdio: ['inherit', 'ignore', 'ignore'] })
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
      stdin.setRawMode(false)
    },
  }
}

function output(fd: 1 | 2, env: NodeJS.ProcessEnv): Output {
  let stream: NodeJS.WriteStream | undefined
  const opened = () => {
    if (stream) return stream
    stream = fd === 1 ? process.stdout : process.stderr
    stream.on('error', (fault: NodeJS.ErrnoException) => process.exit(fault.code === 'EPIPE' ? readerGone : 1))
    return stream
  }
  return {
    write: (data) => new Promise((resolve) => opened().write(data, () => resolve())),
    screen(): Screen | undefined {
      if (!process.getBuiltinModule('node:tty').isatty(fd)) return undefined
      return { columns: opened().columns || 80, rows: opened().rows || undefined, colour: !env['NO_COLOR'] && env['TERM'] !== 'dumb' }
    },
  }
}

/** As if SIGPIPE had killed it, which Node ignores. */
const readerGone = 141
