import { queue } from '../../base/queue.ts'
import { errorOf, TtError } from '../../model/errors.ts'
import type { Session, SessionFrame, SessionInput, SessionRequest } from '../../model/session.ts'
import { abortOf } from '../aborted.ts'
import { pieces, receiveWindow, sendWindow } from '../flow.ts'
import { packed, unpacked } from '../sessions.ts'
import { bytesOf, type Wire } from '../wire.ts'
import { foreign, lost } from './faults.ts'

/** Opens a session over a WebSocket that is open. Resolves when the server has opened it; the signal ends that wait. */
export async function socketSession(wire: Wire, request: SessionRequest, { place, signal }: { place: string; signal: AbortSignal }): Promise<Session> {
  const frames = queue<{ frame: SessionFrame; bytes: number }>()
  const answered = Promise.withResolvers<void>()
  const outgoing = sendWindow()
  const incoming = receiveWindow((bytes) => wire.send(packed({ type: 'credit', bytes })))
  let end: { fault?: TtError } | undefined
  const over = (fault?: TtError) => {
    end ??= { fault }
    frames.end()
    outgoing.close()
    answered.reject(fault ?? lost(place, 'the session ended before it began'))
  }
  const hear = (data: unknown) => {
    const bytes = bytesOf(data)
    if (!bytes) throw foreign(place, 'it sent text where bytes belong')
    const message = unpacked(bytes)
    if (message.type === 'opened') answered.resolve()
    else if (message.type === 'credit') outgoing.give(message.bytes)
    else if (message.type === 'ended') over()
    else if (message.type === 'broken') over(errorOf(message.problem))
    else if (message.type === 'frame') {
      incoming.arrived(bytes.length)
      frames.push({ frame: message.frame, bytes: bytes.length })
    } else throw foreign(place, `it sent a message of type ${message.type}`)
  }
  wire.addEventListener('message', ({ data }) => {
    try {
      hear(data)
    } catch (thrown) {
      over(thrown instanceof TtError && thrown.code === 'unavailable' ? thrown : foreign(place, 'it sent what is no frame'))
      wire.close(1000)
    }
  })
  wire.addEventListener('close', () => over(lost(place, 'the connection broke')))
  wire.addEventListener('error', () => over(lost(place, 'the connection broke')))
  const stop = () => {
    over(abortOf(signal))
    wire.close(1000)
  }
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  wire.send(JSON.stringify(request))
  try {
    await answered.promise
  } finally {
    signal.removeEventListener('abort', stop)
  }

  const arriving = frames[Symbol.asyncIterator]()
  return {
    output: new ReadableStream<SessionFrame>(
      {
        async pull(controller) {
          const step = await arriving.next()
          if (step.done) {
            if (end?.fault) controller.error(end.fault)
            else controller.close()
            return
          }
          controller.enqueue(step.value.frame)
          incoming.consumed(step.value.bytes)
        },
        cancel: () => wire.close(1000),
      },
      { highWaterMark: 0 },
    ),
    input: new WritableStream<SessionInput>({
      async write(input) {
        for (const part of partsOf(input)) {
          const message = packed({ type: 'input', input: part })
          await outgoing.take(message.length)
          wire.send(message)
        }
      },
    }),
    async [Symbol.asyncDispose]() {
      over()
      wire.close(1000)
    },
  }
}

function* partsOf(input: SessionInput): Generator<SessionInput> {
  if (input.type !== 'stdin') yield input
  else for (const data of pieces(input.data)) yield { ...input, data }
}
