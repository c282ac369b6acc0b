import type { IncomingMessage } from 'node:http'
import type { World } from '../base/world.ts'
import { fail } from '../model/errors.ts'

/** The largest body that is read. */
const bodyBytes = 4 * 1024 * 1024
/** Deeper nesting than any request has; what walks over a body may recurse. */
const nestingMax = 64

/** The JSON in a request's body. Refuses with `too_large` or `invalid`; an empty body is undefined. */
export async function jsonBody(request: IncomingMessage): Promise<unknown> {
  checkType(request)
  if (Number(request.headers['content-length'] ?? 0) > bodyBytes) tooLarge()
  const pieces: Uint8Array[] = []
  let size = 0
  for await (const piece of chunksOf(request)) {
    size += piece.length
    if (size > bodyBytes) tooLarge()
    pieces.push(piece)
  }
  return size === 0 ? undefined : jsonOf(textOf(Buffer.concat(pieces)), 'the body')
}

/** A body that is read while it comes. */
export interface BodyBytes {
  /** As its sender says; undefined if nothing is said. */
  sizeBytes?: number
  /** Ends the request if nothing comes for too long. */
  pieces: AsyncIterable<Uint8Array>
}

/** A sender that is slower than this between two pieces is gone. */
const silenceMs = 60_000

export function bytesOfBody(request: IncomingMessage, world: Pick<World, 'after'>): BodyBytes {
  const { headers } = request
  if (headers['content-encoding'] !== undefined && headers['content-encoding'] !== 'identity') fail('invalid', 'a compressed body is not read')
  const length = headers['content-length']
  return { ...(length === undefined ? {} : { sizeBytes: Number(length) }), pieces: patient(request, world) }
}

async function* patient(request: IncomingMessage, world: Pick<World, 'after'>): AsyncGenerator<Uint8Array> {
  const giveUp = () => request.destroy()
  let stop = world.after(silenceMs, giveUp)
  try {
    for await (const piece of chunksOf(request)) {
      stop()
      yield piece
      stop = world.after(silenceMs, giveUp)
    }
  } finally {
    stop()
  }
}

const tooLarge = () => fail('too_large', `the body is larger than ${bodyBytes / 1024 / 1024} MB`)

/** Form data is what `curl -d` calls everything; it is read as JSON too, because there is nothing else it could be. */
function checkType({ headers }: IncomingMessage): void {
  const type = headers['content-type']?.split(';')[0]?.trim().toLowerCase() ?? ''
  const isJson = /^(|application\/(json|[a-z0-9.-]+\+json|x-www-form-urlencoded))$/.test(type)
  if (!isJson) fail('invalid', `a body of type ${type.slice(0, 80)} is not read`, { remedy: 'send JSON with content-type: application/json' })
  if (headers['content-encoding'] !== undefined && headers['content-encoding'] !== 'identity') fail('invalid', 'a compressed body is not read')
}

/** The body without ending the request when the reader stops: the answer still has to go out, and the rest is let run dry. */
async function* chunksOf(request: IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of request.iterator({ destroyOnReturn: false })) yield piece as Uint8Array
  } catch (fault) {
    fail('cancelled', 'the client went away before its request was whole', { cause: fault })
  }
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return fail('invalid', 'the body is not UTF-8')
  }
}

/** The value of a JSON text from outside, nested no deeper than anything of ours. */
export function jsonOf(text: string, what: string): unknown {
  if (nesting(text) > nestingMax) fail('invalid', `${what} is nested deeper than ${nestingMax}`)
  try {
    return JSON.parse(text)
  } catch (fault) {
    return fail('invalid', `${what} is not JSON: ${(fault as Error).message.slice(0, 200)}`)
  }
}

/** How deep brackets outside of strings are nested. */
function nesting(text: string): number {
  let depth = 0
  let deepest = 0
  let quoted = false
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (quoted) {
      if (character === '\\') at++
      else if (character === '"') quoted = false
    } else if (character === '"') quoted = true
    else if (character === '{' || character === '[') deepest = Math.max(deepest, ++depth)
    else if (character === '}' || character === ']') depth--
  }
  return deepest
}
