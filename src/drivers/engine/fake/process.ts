import type { World } from '../../../base/world.ts'
import type { Exit } from '../../../model/session.ts'
import type { Stream } from './script.ts'
import type { Terminal } from './terminal.ts'

/** What a program in a fake guest has around it. Nothing in it is the host's: no files, no processes, no environment. */
export interface Process {
  world: World
  hostname: string
  /** Its variables; `PWD` is where it is. */
  env: Map<string, string>
  /** Standard input. */
  input: Input
  /** Rejects once the process is ended from outside. */
  say(stream: Stream, what: string | Uint8Array): Promise<void>
  signal: AbortSignal
  /** `$0`, `$1` and so on, of a shell. */
  positional?: readonly string[]
  /** Its terminal, if it has one. */
  terminal?: Terminal
}

/** How a program ended: with a status, which may be the end of the whole script, or by a signal. */
export type Outcome = { code: number; ends?: 'script' } | { signal: string }

export const exitOf = (outcome: Outcome): Exit => ('signal' in outcome ? outcome : { code: outcome.code & 0xff })

/** All directories of a fake guest. */
export const directories = ['/', '/root', '/tmp']

/** The id of every process in a fake guest. */
export const ownPid = 100

export interface Input {
  /** The next bytes, at most so many; undefined at the end. */
  take(limitBytes: number): Promise<Uint8Array | undefined>
  /** Tells the giver that no more is wanted. */
  close(): void
}

/** An input that asks the giver for more only when it has nothing left. */
export function inputOf(from?: AsyncIterable<Uint8Array>): Input {
  const iterator = from?.[Symbol.asyncIterator]()
  let rest: Uint8Array = new Uint8Array()
  return {
    async take(limitBytes) {
      if (rest.length === 0) {
        const next = await iterator?.next()
        if (next === undefined || next.done) return undefined
        rest = next.value
      }
      const piece = rest.subarray(0, limitBytes)
      rest = rest.subarray(limitBytes)
      return piece
    },
    close() {
      iterator?.return?.().then(undefined, () => undefined) // A giver that is stuck is not waited for.
    },
  }
}

const breathEveryBytes = 1 << 20

/** `say` of a process: in order, one piece at a time, and with a pause now and then, so that endless output leaves others their turn. */
export function sayer(world: World, signal: AbortSignal, output: (stream: Stream, bytes: Uint8Array) => void | Promise<void>): Process['say'] {
  let sinceBreath = 0
  return async (stream, what) => {
    signal.throwIfAborted()
    const bytes = typeof what === 'string' ? Buffer.from(what) : what
    if (bytes.length > 0) await output(stream, bytes)
    sinceBreath += bytes.length + 256
    if (sinceBreath < breathEveryBytes) return
    sinceBreath = 0
    await world.sleep(0, signal)
  }
}
