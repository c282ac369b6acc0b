import type { Output, Screen, Terminal } from '../cli/terminal.ts'

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
    keyboard: async () => (process.getBuiltinModule('node:tty').isatty(0) ? (await import('./keyboard.ts')).keyboard() : undefined),
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
