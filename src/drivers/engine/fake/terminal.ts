import { queue } from '../../../base/queue.ts'
import type { Exit, TerminalSize } from '../../../model/session.ts'
import type { ExecOptions } from '../../channel/channel.ts'

/** The terminal of a command in a fake guest: echoes what is typed, hands it on by lines, and turns keys into signals, as the kernel's does. */
export interface Terminal {
  /** The next line that was typed; undefined for the end-of-file key on no line at all. */
  line(): Promise<Uint8Array | undefined>
  output(bytes: Uint8Array): void | Promise<void>
  size(): TerminalSize
  /** How the command ends if nothing in it takes the signals of keys, or when the line is hung up. */
  end: Promise<Exit>
  /** Takes the signals of keys instead of `end`, until the returned function is called. */
  heed(take: (signal: string) => void): () => void
  close(): void
}

const lineLimitBytes = 4096
const keys = { interrupt: 3, endOfFile: 4, backspace: 8, kill: 21, quit: 28, erase: 127 }

export function terminalOf({ output, stdin, sizes, tty = { columns: 80, rows: 24 } }: ExecOptions): Terminal {
  const lines = queue<Uint8Array>()
  const reading = lines[Symbol.asyncIterator]()
  let next: Promise<IteratorResult<Uint8Array>> | undefined
  const end = Promise.withResolvers<Exit>()
  const takers: ((signal: string) => void)[] = []
  const incoming = stdin?.[Symbol.asyncIterator]()
  const resized = sizes?.[Symbol.asyncIterator]()
  let size: TerminalSize = tty
  let line: number[] = []

  const show = (bytes: Uint8Array) => output('stdout', crlf(bytes))
  const echo = (text: string) => show(Buffer.from(text, 'latin1'))
  const signal = (name: string) => {
    const take = takers.at(-1)
    if (take) take(name)
    else end.resolve({ signal: name })
  }
  const flush = () => {
    lines.push(Uint8Array.from(line))
    line = []
  }
  const erase = (count: number) => {
    line.splice(line.length - count)
    return echo('\b \b'.repeat(count))
  }
  const key = async (byte: number) => {
    if (byte === keys.interrupt || byte === keys.quit) {
      line = []
      await echo(byte === keys.interrupt ? '^C\n' : '^\\\n')
      signal(byte === keys.interrupt ? 'SIGINT' : 'SIGQUIT')
    } else if (byte === keys.endOfFile) flush()
    else if (byte === keys.erase || byte === keys.backspace) await erase(Math.min(1, line.length))
    else if (byte === keys.kill) await erase(line.length)
    else if (byte === 10 || byte === 13) {
      line.push(10)
      await echo('\n')
      flush()
    } else if (line.length < lineLimitBytes) {
      line.push(byte)
      await echo(String.fromCharCode(byte))
    }
  }
  const listen = async () => {
    for (let step = await incoming?.next(); step && !step.done; step = await incoming?.next()) for (const byte of step.value) await key(byte)
    if (incoming) end.resolve({ signal: 'SIGHUP' })
  }
  const measure = async () => {
    for (let step = await resized?.next(); step && !step.done; step = await resized?.next()) size = step.value
  }
  listen().catch(end.reject)
  measure().catch(() => undefined)
  return {
    async line() {
      const asked = (next ??= reading.next()) // One who was interrupted while it waited takes nothing from the next.
      const step = await asked
      if (next === asked) next = undefined
      return step.done || step.value.length === 0 ? undefined : step.value
    },
    output: show,
    size: () => size,
    end: end.promise,
    heed(take) {
      takers.push(take)
      return () => void takers.splice(takers.indexOf(take), 1)
    },
    close() {
      lines.end()
      for (const one of [incoming, resized]) one?.return?.().then(undefined, () => undefined)
    },
  }
}

/** Line ends as a terminal shows them. */
const crlf = (bytes: Uint8Array): Uint8Array => (bytes.includes(10) ? Buffer.from(Buffer.from(bytes).toString('latin1').replaceAll('\n', '\r\n'), 'latin1') : bytes)

/** What is typed, as the input of a program: until the end-of-file key. */
export async function* typedOf({ line }: Pick<Terminal, 'line'>): AsyncGenerator<Uint8Array> {
  for (let bytes = await line(); bytes; bytes = await line()) yield bytes
}
