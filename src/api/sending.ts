import type { ServerResponse } from 'node:http'
import type { World } from '../base/world.ts'
import { errorCodes, type Problem, problemOf, TtError } from '../model/errors.ts'
import type { Kind, Resource } from '../model/kinds.ts'
import type { Session } from '../model/session.ts'
import { pieces } from './flow.ts'
import { drained, outflow } from './outflow.ts'
import { tagOf } from './preconditions.ts'
import { mediaTypes, type Reply } from './reply.ts'
import { framesOf } from './session-frames.ts'
import { lineOf } from './sessions.ts'

/** A watch says that it lives at least this often. */
export const heartbeatMs = 15_000
/** A long list lets others in between after so much work on end. */
const turnMs = 10

export interface Sending {
  response: ServerResponse
  world: World
  /** Aborts when nobody listens any more, or the server stops. */
  signal: AbortSignal
}

/** Writes a reply as HTTP. What breaks before the first byte is thrown, later it is said inside the stream where the format has words for it. */
export async function send(reply: Reply, sending: Sending): Promise<void> {
  const { response } = sending
  switch (reply.type) {
    case 'json':
      return sendText(response, { status: reply.status, contentType: mediaTypes.json, text: `${JSON.stringify(reply.value)}\n` })
    case 'text':
      return sendText(response, reply)
    case 'resource':
      return sendResource(response, reply)
    case 'nothing':
      response.writeHead(204).end()
      return
    case 'list':
      return sendStream(mediaTypes.json, response, () => wholly(sending.signal, writeList(reply.listing, sending)))
    case 'changes':
      return sendStream(mediaTypes.events, response, () => writeChanges(reply.changes, sending))
    case 'frames':
      return sendStream(mediaTypes.frames, response, () => writeFrames(reply, sending))
    case 'bytes':
      return sendStream(mediaTypes.bytes, response, () => wholly(sending.signal, writeBytes(reply.pieces, response)))
    case 'file':
      if (reply.sizeBytes > 0) response.setHeader('content-length', reply.sizeBytes)
      return sendStream(mediaTypes.file, response, () => wholly(sending.signal, writeBytes(reply.pieces, response)))
  }
}

/** The envelope of every refusal: a code, one line, whom it is about and what to do. Never a stack. */
export const envelope = ({ code, message, subject, remedy }: Problem) => ({ error: { code, message: message.slice(0, 2000), subject, remedy } })

export function sendProblem(response: ServerResponse, problem: Problem, status: number = errorCodes[problem.code].http): void {
  sendText(response, { status, contentType: mediaTypes.json, text: `${JSON.stringify(envelope(problem))}\n` })
}

function sendText(response: ServerResponse, { status = 200, contentType, text }: { status?: number; contentType: string; text: string }): void {
  response.writeHead(status, { 'content-type': contentType, 'content-length': Buffer.byteLength(text) }).end(text)
}

function sendResource(response: ServerResponse, { resource, status }: { resource: Resource<Kind>; status?: number }): void {
  const tag = tagOf(resource.revision)
  if (tag !== undefined) response.setHeader('etag', tag)
  sendText(response, { status, contentType: mediaTypes.json, text: `${JSON.stringify(resource)}\n` })
}

async function sendStream(contentType: string, response: ServerResponse, write: () => Promise<void>): Promise<void> {
  response.writeHead(200, { 'content-type': contentType })
  await write()
  response.end()
}

/** For what has no words for its being cut short: throws, and the connection is cut, so that nobody takes a part for the whole. */
async function wholly(signal: AbortSignal, writing: Promise<void>): Promise<void> {
  await writing
  if (signal.aborted && signal.reason instanceof TtError) throw signal.reason
}

/** One item per line, so that the answer is JSON as a whole and pleasant to `grep`. */
async function writeList({ items, missing }: Extract<Reply, { type: 'list' }>['listing'], { response, world, signal }: Sending): Promise<void> {
  const out = outflow(response)
  let began = world.ticks()
  out.write('{"items":[')
  for (const [at, item] of items.entries()) {
    if (signal.aborted) return
    out.write(`${at === 0 ? '\n' : ',\n'}${JSON.stringify(item)}`)
    await out.room()
    if (at % 100 === 99 && world.ticks() - began > turnMs) {
      await world.sleep(0)
      began = world.ticks()
    }
  }
  out.write(`\n],"missing":${JSON.stringify(missing)}}\n`)
  out.flush()
}

async function writeChanges(changes: Extract<Reply, { type: 'changes' }>['changes'], { response, world, signal }: Sending): Promise<void> {
  const out = outflow(response)
  let id = 0
  const write = (event: string, data: unknown) => out.write(`event: ${event}\nid: ${++id}\ndata: ${JSON.stringify(data)}\n\n`)
  const beat = () => {
    if (!response.writableNeedDrain) out.write(': alive\n\n')
    stopBeating = world.after(heartbeatMs, beat)
  }
  let stopBeating = world.after(heartbeatMs, beat)
  try {
    for await (const change of changes) {
      if (signal.aborted) break
      if (change.type === 'is') write('is', change.resource)
      else write(change.type, change.type === 'gone' ? { name: change.name } : {})
      await out.room()
    }
    if (signal.aborted) write('problem', envelope(problemOf(signal.reason)))
  } catch (thrown) {
    write('problem', envelope(problemOf(thrown)))
  } finally {
    stopBeating()
    out.flush()
  }
}

/** Frames as lines. Output that breaks ends with a line of the error's envelope, which is no frame. */
async function writeFrames({ session, stdin }: { session: Session; stdin?: Uint8Array }, { response, signal }: Sending): Promise<void> {
  const out = outflow(response)
  const fed = stdin === undefined ? undefined : feed(session, stdin)
  try {
    for await (const frame of framesOf(session, signal)) {
      out.write(lineOf(frame))
      await out.room()
    }
    if (signal.aborted) out.write(`${JSON.stringify(envelope(problemOf(signal.reason)))}\n`)
  } catch (thrown) {
    out.write(`${JSON.stringify(envelope(problemOf(thrown)))}\n`)
  }
  await fed
  out.flush()
}

/** Gives the whole input. A command that ends without reading it is no fault. */
async function feed({ input }: Session, data: Uint8Array): Promise<void> {
  const writer = input.getWriter()
  try {
    for (const piece of pieces(data)) await writer.write({ type: 'stdin', data: piece })
    await writer.write({ type: 'eof' })
  } catch {
    return
  }
}

async function writeBytes(bytes: AsyncIterable<Uint8Array>, response: ServerResponse): Promise<void> {
  response.flushHeaders()
  for await (const piece of bytes) {
    if (!response.write(piece)) await drained(response)
  }
}
