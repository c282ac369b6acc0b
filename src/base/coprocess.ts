import { type ChildProcess, spawn } from 'node:child_process'
import { type Gate, gate } from './queue.ts'
import type { World } from './world.ts'

/**
 * One long-lived program that takes commands as lines and says nothing unless something is wrong. To know when lines have been worked on,
 * a marker follows them: a line that is wrong on purpose, so that the program's complaint about it comes after whatever it had to say before.
 */
export interface Coprocess extends AsyncDisposable {
  /**
   * Resolves once all lines were worked on without a complaint; rejects with the program's own words about these lines, and only these.
   * One call at a time, in the order they came. A program that died is started anew by the next call.
   */
  send(lines: readonly string[]): Promise<void>
}

export interface CoprocessOptions {
  argv: readonly [string, ...string[]]
  /** The whole environment; by default this process' own. */
  env?: NodeJS.ProcessEnv
  world: World
  /** Matches the whole complaint about a line that is only the word `marker`, from the start of a line to the end of one. */
  complaint(marker: string): RegExp
  /** Makes the program's words readable; `line` gives the command of a number, counted from the start of the program, if it was among these. */
  explain?(words: string, line: (number: number) => string | undefined): string
  /** Killed if it does not answer for so long; 60 s unless said otherwise. */
  timeoutMs?: number
  /** Ended and started anew after so many bytes, for programs that keep what they were told; 4 MiB unless said otherwise. */
  recycleBytes?: number
}

/** What is kept of a complaint: its beginning for people, its end to find the marker in. */
const headBytes = 16 << 10
const tailBytes = 4 << 10

/** A coprocess that is started by the first `send`. */
export function coprocess(options: CoprocessOptions): Coprocess {
  const turns: Gate = gate(1)
  const { argv, recycleBytes = 4 << 20, explain = (words) => words } = options
  let running: Running | undefined
  let markers = 0
  let closed = false
  return {
    send: (lines) =>
      turns.pass(async () => {
        if (closed) throw new Error(`${argv[0]} was stopped`)
        if (lines.length === 0) return
        if (lines.some((line) => line.includes('\n'))) throw new Error(`a command for ${argv[0]} contains the end of a line`)
        if (!running?.alive()) running = start(options)
        const marker = `marker_${++markers}`
        const before = running.lines()
        const words = await running.ask([...lines, marker], options.complaint(marker))
        if (running.bytes() > recycleBytes) {
          await running.end()
          running = undefined
        }
        if (words !== '') throw new Error(explain(words, (number) => lines[number - before - 1]))
      }),
    [Symbol.asyncDispose]: () =>
      turns.pass(async () => {
        closed = true
        await running?.end()
        running = undefined
      }),
  }
}

interface Running {
  alive(): boolean
  bytes(): number
  lines(): number
  ask(lines: readonly string[], complaint: RegExp): Promise<string>
  end(): Promise<void>
}

function start({ argv, env, world, timeoutMs = 60_000 }: CoprocessOptions): Running {
  const [program, ...args] = argv
  // Where no descriptors or processes are left there is a child without streams, and then its error.
  const child: ChildProcess = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'pipe'] })
  const { promise: closed, resolve: close } = Promise.withResolvers<void>()
  let alive = true
  let sent = { bytes: 0, lines: 0 }
  let fault: Error | undefined
  let heard = hearing()
  let look = () => {}
  child.stdin?.on('error', () => undefined) // It may have died; `close` tells.
  child.stdout?.resume()
  child.stderr?.setEncoding('utf8').on('data', (piece: string) => {
    heard.add(piece)
    look()
  })
  child.once('error', (error) => (fault = error))
  child.once('close', (code, signal) => {
    alive = false
    fault ??= new Error(`${program} ended with ${code ?? signal}`)
    close()
    look()
  })
  return {
    alive: () => alive,
    bytes: () => sent.bytes,
    lines: () => sent.lines,
    ask: (lines, complaint) =>
      new Promise((resolve, reject) => {
        heard = hearing()
        const settle = (done: () => void) => {
          stop()
          look = () => {}
          done()
        }
        const stop = world.after(timeoutMs, () => {
          fault = new Error(`${program} did not answer within ${timeoutMs} ms`)
          child.kill('SIGKILL')
        })
        look = () => {
          const words = heard.before(complaint)
          if (words !== undefined) return settle(() => resolve(words))
          if (!alive) settle(() => reject(new Error([fault?.message, heard.head().trim()].filter(Boolean).join(': '), { cause: fault })))
        }
        const text = `${lines.join('\n')}\n`
        sent = { bytes: sent.bytes + text.length, lines: sent.lines + lines.length }
        child.stdin?.write(text)
        look()
      }),
    async end() {
      const stop = world.after(2000, () => child.kill('SIGKILL'))
      child.stdin?.end()
      await closed
      stop()
    },
  }
}

/** Keeps the beginning and the end of a text of any length. */
function hearing() {
  let head = ''
  let tail = ''
  let size = 0
  return {
    head: () => head,
    add(piece: string) {
      if (head.length < headBytes) head = (head + piece).slice(0, headBytes)
      tail = (tail + piece).slice(-tailBytes)
      size += piece.length
    },
    /** What came before the complaint, if that has come whole. */
    before(complaint: RegExp): string | undefined {
      const at = complaint.exec(tail)?.index
      return at === undefined ? undefined : head.slice(0, size - tail.length + at)
    },
  }
}
