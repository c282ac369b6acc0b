import { constants } from 'node:os'
import type { World } from '../../../base/world.ts'
import type { Call } from '../../../model/call.ts'
import { TtError } from '../../../model/errors.ts'
import type { Command, Exit, TerminalSize } from '../../../model/session.ts'
import type { ExecOptions } from '../channel.ts'
import { feeder } from './feeder.ts'
import { piecesOf } from './fields.ts'
import type { Exchange, ExchangeWire } from './exchange.ts'
import type { Frame } from './frame.ts'
import { type Output, output } from './output.ts'
import { answer, ask, askLimitBytes, execFlag } from './protocol.ts'
import { refusalOf } from './refusal.ts'
import { sizeOf } from './request.ts'

/** How long an aborted command is waited for: a guest that is frozen would never tell of its end. */
const killPatienceMs = 1000

/** One command from its EXEC (or a frame of another type that begins something alike), which has this body, until everything it said was delivered. */
export function execution(what: { body: Buffer; command: Command; options: ExecOptions; type?: number }, around: { wire: ExchangeWire; world: World }, call?: Call): Exchange<Exit> {
  const { body, command, options, type = ask.exec } = what
  const { wire, world } = around
  const { id } = wire
  const { promise: end, resolve, reject } = Promise.withResolvers<Exit>()
  let ended: Exit | undefined
  let dying: unknown
  let stopWaiting: (() => void) | undefined
  let settled = false

  const finish = (settle: () => void) => {
    if (settled) return
    settled = true
    stopWaiting?.()
    call?.signal?.removeEventListener('abort', abort)
    stdin?.stop()
    signals?.stop()
    sizes?.stop()
    stdout.drop()
    stderr.drop()
    settle()
  }
  /** Kills it, waits for its end so that nothing of it runs on, and rejects with `why`. */
  const kill = (why: unknown) => {
    if (dying !== undefined || settled) return
    dying = why
    stdin?.stop()
    signals?.stop()
    sizes?.stop()
    stdout.drop()
    stderr.drop()
    wire.send([{ type: ask.kill, id }])
    stopWaiting = world.after(killPatienceMs, () => finish(() => reject(why)))
  }
  const abort = () => kill(reasonOf(call?.signal?.reason))
  const settleIfDone = () => {
    const exit = ended
    if (exit && stdout.idle && stderr.idle) finish(() => resolve(exit))
  }
  const stream = (name: 'stdout' | 'stderr'): Output =>
    output({
      read: (piece) => options.output(name, piece),
      credit: (bytes) => {
        if (!ended) wire.send([{ type: ask.credit, id, payload: creditOf(answer[name], bytes) }])
      },
      drained: settleIfDone,
      failed: kill,
    })
  const stdout = stream('stdout')
  const stderr = stream('stderr')

  const stdin =
    options.stdin &&
    feeder(options.stdin, {
      send: (piece) => wire.send(cut(piece, askLimitBytes).map((payload) => ({ type: ask.stdin, id, payload }))),
      end: () => wire.send([{ type: ask.eof, id }]),
      failed: kill,
    })
  const signals =
    options.signals &&
    feeder(namesOf(options.signals), {
      send: (payload) => wire.send([{ type: ask.signal, id, payload }]),
      end: () => undefined,
      failed: kill,
      unlimited: true,
    })

  const sizes =
    options.tty &&
    options.sizes &&
    feeder(framesOfSizes(options.sizes), {
      send: (payload) => wire.send([{ type: ask.size, id, payload }]),
      end: () => undefined,
      failed: kill,
      unlimited: true,
    })

  const hear = (type: number, payload: Buffer): boolean => {
    if (type === answer.stdout) return stdout.take(payload)
    if (type === answer.stderr) return stderr.take(payload)
    if (type === answer.taken) return payload.length === 4 && stdin !== undefined && stdin.allow(payload.readUInt32LE())
    if (type === answer.exit) {
      const exit = exitOf(payload)
      if (!exit || ended) return false
      ended = exit
      if (dying !== undefined) finish(() => reject(dying))
      else settleIfDone()
      return true
    }
    if (type !== answer.error) return false
    const refusal = refusalOf(payload, command, options.cwd)
    if (refusal) finish(() => reject(dying ?? refusal))
    return refusal !== undefined
  }

  return {
    end,
    start() {
      wire.send(framesOf({ type, id, flags: stdin ? 0 : execFlag.noStdin }, body))
      stdin?.start()
      signals?.start()
      sizes?.start()
      call?.signal?.addEventListener('abort', abort, { once: true })
    },
    frame(type, payload) {
      if (!hear(type, payload)) wire.distrust(`a frame of type ${type} out of place`)
    },
    lose: (why) => finish(() => reject(dying ?? why)),
  }
}

/** An EXEC or its like: its body in pieces, each after a byte of flags. */
const framesOf = ({ type, id, flags }: { type: number; id: number; flags: number }, body: Buffer): Frame[] =>
  piecesOf(body, askLimitBytes, { more: execFlag.more, last: flags }).map((payload) => ({ type, id, payload }))

const cut = (bytes: Uint8Array, most: number): Uint8Array[] => {
  if (bytes.length <= most) return [bytes]
  const pieces = []
  for (let at = 0; at < bytes.length; at += most) pieces.push(bytes.subarray(at, at + most))
  return pieces
}

const creditOf = (stream: number, bytes: number): Uint8Array => {
  const payload = Buffer.allocUnsafe(5)
  payload[0] = stream
  payload.writeUInt32LE(bytes, 1)
  return payload
}

async function* framesOfSizes(sizes: AsyncIterable<TerminalSize>): AsyncIterable<Uint8Array> {
  for await (const { columns, rows } of sizes) {
    const payload = Buffer.allocUnsafe(4)
    payload.writeUInt16LE(sizeOf(columns), 0)
    payload.writeUInt16LE(sizeOf(rows), 2)
    yield payload
  }
}

async function* namesOf(signals: AsyncIterable<string>): AsyncIterable<Uint8Array> {
  for await (const name of signals) {
    if (!Object.hasOwn(constants.signals, name)) throw new TtError({ code: 'invalid', message: `there is no signal '${name.slice(0, 32)}'` })
    yield Buffer.from(name)
  }
}

function exitOf(payload: Buffer): Exit | undefined {
  if (payload[0] === 0 && payload.length === 2) return { code: payload[1] as number }
  const name = payload.toString('latin1', 1)
  return payload[0] === 1 && /^SIG[A-Z0-9+]{1,20}$/.test(name) ? { signal: name } : undefined
}

/** Why the caller gave up, as an error of ours. */
export function reasonOf(reason: unknown): TtError {
  if (reason instanceof TtError) return reason
  if (reason instanceof Error && reason.name === 'TimeoutError') return new TtError({ code: 'timeout', message: reason.message }, reason)
  return new TtError({ code: 'cancelled', message: 'the call was cancelled' }, reason)
}
