import type { Duplex } from 'node:stream'
import type { World } from '../../../base/world.ts'
import type { Call } from '../../../model/call.ts'
import { fail, TtError } from '../../../model/errors.ts'
import { within as answerIn } from './wait.ts'

/** A QEMU's control line: commands with answers in any order, and events. */
export interface Qmp {
  /** `failed` with QEMU's reason, `unavailable` if the line broke, `timeout` after 5 s. */
  execute(command: string, args?: object, call?: Call): Promise<unknown>
  /** Resolves once the line is closed, by either side. */
  readonly closed: Promise<void>
  close(): void
}

export interface QmpEvent {
  event: string
  data: Record<string, unknown>
}

const answerMs = 5000
/** More than any answer to what we ask; a QEMU that sends more is not one. */
const longestLine = 1 << 20

/** Speaks QMP on a connected stream: hears the greeting, enters command mode. Rejects if that does not happen in time. */
export async function qmp(stream: Duplex, { world, onEvent, call }: { world: World; onEvent: (event: QmpEvent) => void; call?: Call }): Promise<Qmp> {
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (fault: unknown) => void }>()
  const closed = Promise.withResolvers<void>()
  const greeted = Promise.withResolvers<void>()
  let lastId = 0

  const broken = () => new TtError({ code: 'unavailable', message: 'QEMU closed its control line' })
  stream.on('error', () => undefined) // It is followed by `close`.
  stream.once('close', () => {
    for (const { reject } of waiting.values()) reject(broken())
    waiting.clear()
    greeted.reject(broken())
    closed.resolve()
  })
  greeted.promise.catch(() => undefined)

  const receive = (message: Record<string, unknown>) => {
    if ('QMP' in message) return greeted.resolve()
    if (typeof message['event'] === 'string') return onEvent({ event: message['event'], data: asObject(message['data']) })
    const one = waiting.get(message['id'] as number)
    if (!one) return
    if ('error' in message) return one.reject(new TtError({ code: 'failed', message: `QEMU says: ${String(asObject(message['error'])['desc'])}` }))
    one.resolve(message['return'])
  }
  stream.on('data', linesOf(receive, () => stream.destroy()))

  const within = <T>(answer: Promise<T>, what: string, outer?: Call) => answerIn(answer, { world, limitMs: answerMs, what: `QEMU's answer to ${what}`, call: outer })
  const execute = async (command: string, args?: object, outer?: Call): Promise<unknown> => {
    if (stream.destroyed) fail('unavailable', 'QEMU closed its control line')
    const id = ++lastId
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    waiting.set(id, { resolve, reject })
    promise.catch(() => undefined)
    stream.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`)
    try {
      return await within(promise, command, outer)
    } finally {
      waiting.delete(id)
    }
  }
  try {
    await within(greeted.promise, 'a new connection', call)
    await execute('qmp_capabilities', undefined, call)
  } catch (fault) {
    stream.destroy()
    throw fault
  }
  return { execute, closed: closed.promise, close: () => stream.destroy() }
}

/** Cuts bytes into lines of JSON. What is not an object, or too long, goes to `onNonsense`, and nothing after it is read. */
function linesOf(onMessage: (message: Record<string, unknown>) => void, onNonsense: () => void) {
  let pieces: Buffer[] = []
  let size = 0
  let over = false
  const give = (line: string) => {
    if (line.trim() === '') return
    const message = parsed(line)
    if (message) return onMessage(message)
    over = true
    onNonsense()
  }
  return (bytes: Buffer) => {
    for (let rest = bytes; !over && rest.length > 0; ) {
      const end = rest.indexOf(10)
      const piece = end < 0 ? rest : rest.subarray(0, end)
      pieces.push(piece)
      size += piece.length
      if (size > longestLine) {
        over = true
        pieces = []
        return onNonsense()
      }
      if (end < 0) return
      const line = Buffer.concat(pieces).toString()
      pieces = []
      size = 0
      give(line)
      rest = rest.subarray(end + 1)
    }
  }
}

function parsed(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

const asObject = (value: unknown): Record<string, unknown> => (typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {})
