import { type Queue, queue } from '../base/queue.ts'
import type { Cloud } from '../model/cloud.ts'
import { fail, problemOf } from '../model/errors.ts'
import type { Session, SessionFrame, SessionInput } from '../model/session.ts'
import { Request, requestOf } from './bodies.ts'
import { jsonOf } from './body.ts'
import { checked } from './checked.ts'
import { pieces, receiveWindow, sendWindow } from './flow.ts'
import { framesOf } from './session-frames.ts'
import { packed, unpacked } from './sessions.ts'
import { bytesOf, type Wire } from './wire.ts'

interface Arrived {
  input: SessionInput
  bytes: number
}

/**
 * A session over a WebSocket: the first message is the request as JSON, then binary messages both ways (`sessions.ts`). The signal
 * ends it, whoever aborts it: the client that is gone, the server that stops, or nonsense that arrived.
 */
export async function serveSession(wire: Wire, { cloud, controller }: { cloud: Cloud; controller: AbortController }): Promise<void> {
  const { signal } = controller
  const outgoing = sendWindow()
  const incoming = receiveWindow((bytes) => wire.send(packed({ type: 'credit', bytes })))
  const inputs: Queue<Arrived> = queue(signal)
  const requests: Queue<string> = queue(signal)
  let isOpen = false
  const hear = (data: unknown) => {
    if (typeof data === 'string' && !isOpen) {
      isOpen = true
      requests.push(data)
      return
    }
    const bytes = bytesOf(data)
    if (!bytes || !isOpen) return fail('invalid', 'the first message is the request as JSON, all others are binary')
    const message = unpacked(bytes)
    if (message.type === 'credit') return outgoing.give(message.bytes)
    if (message.type !== 'input') return fail('invalid', `a message of type ${message.type} is not for servers`)
    incoming.arrived(bytes.length)
    inputs.push({ input: message.input, bytes: bytes.length })
  }
  wire.addEventListener('message', ({ data }) => {
    try {
      hear(data)
    } catch (thrown) {
      controller.abort(thrown)
    }
  })
  signal.addEventListener('abort', () => outgoing.close(), { once: true })
  try {
    const session = await opened(requests, cloud, signal)
    wire.send(packed({ type: 'opened' }))
    const fed = feed(session, inputs, (bytes) => incoming.consumed(bytes))
    for await (const frame of framesOf(session, signal)) {
      for (const part of parts(frame)) {
        const message = packed({ type: 'frame', frame: part })
        await outgoing.take(message.length)
        wire.send(message)
      }
    }
    inputs.end()
    await fed
    if (signal.aborted) throw signal.reason
    wire.send(packed({ type: 'ended' }))
  } catch (thrown) {
    wire.send(packed({ type: 'broken', problem: problemOf(signal.aborted ? signal.reason : thrown) }))
  }
  wire.close(1000)
}

async function opened(requests: Queue<string>, cloud: Cloud, signal: AbortSignal): Promise<Session> {
  for await (const text of requests) return cloud.open(requestOf(checked(Request, jsonOf(text, 'the request'), 'the request')), { signal })
  throw signal.reason
}

/** Data in pieces of a size that flow control can count on; other frames as they are. */
function* parts(frame: SessionFrame): Generator<SessionFrame> {
  if (frame.type !== 'stdout' && frame.type !== 'stderr') yield frame
  else for (const data of pieces(frame.data)) yield { ...frame, data }
}

/** Gives what arrives to the session. One that does not listen any more loses it: its output says how it ended. */
async function feed({ input }: Session, inputs: Queue<Arrived>, consumed: (bytes: number) => void): Promise<void> {
  const writer = input.getWriter()
  let listens = true
  for await (const arrived of inputs) {
    if (listens) {
      try {
        await writer.write(arrived.input)
      } catch {
        listens = false
      }
    }
    consumed(arrived.bytes)
  }
}
