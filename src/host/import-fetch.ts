import type { IncomingMessage } from 'node:http'
import type { Call } from '../model/call.ts'
import type { World } from '../base/world.ts'
import { asTtError, fail, reasonOf, TtError } from '../model/errors.ts'
import { gigabytes } from './import-conversion.ts'
import type { Origin, Part } from './import-parts.ts'
import { requester, shownUrl } from './import-request.ts'

export interface Fetching {
  url: string
  part: Part
  /** What the whole is to be, where that is known: then a part of unknown origin can be gone on with, for what comes of it is checked. */
  sha256?: string
  /** How much may be written now. */
  room(): Promise<number>
  /** The server's environment, of which the proxies are read. */
  variables: Record<string, string | undefined>
  onBytes(done: number, total: number | undefined): void
  note(text: string): void
  subject: string
  world: World
  /** Without a byte for so long, a connection is given up. */
  stallMs?: number
  /** Before the second try; the pauses double. */
  pauseMs?: number
}

const stallLimitMs = 60_000
const firstPauseMs = 1000
const longestPauseMs = 60_000
/** In a row, without getting on. */
const triesMost = 6
/** Less than this is not getting on. */
const gainBytes = 64 << 10
const roomEveryBytes = 64 << 20

/**
 * Fetches what lies at the address into the part, from where that ends: after a broken connection by itself, and after a restart if the server says that it
 * still is the same file. Resolves when all of it is there; `resumed` if a part was there before and its origin could not be asked for.
 */
export async function fetched(fetching: Fetching, call?: Call): Promise<{ resumed: boolean }> {
  const { part, world, sha256, subject, pauseMs = firstPauseMs } = fetching
  const isKnown = validatorOf(part.origin) !== undefined
  const resumed = part.bytes > 0 && !isKnown
  if (resumed && sha256 === undefined) await part.cut()
  using requests = requester(fetching.variables)
  for (let failures = 0; ; ) {
    const before = part.bytes
    try {
      await attempt(fetching, requests, call?.signal)
      return { resumed }
    } catch (thrown) {
      call?.signal?.throwIfAborted()
      if (!(thrown instanceof Passing)) throw thrown
      failures = part.bytes - before >= gainBytes ? 1 : failures + 1
      const where = shownUrl(fetching.url)
      if (failures >= triesMost) fail('unavailable', `${where} could not be fetched: ${thrown.message}`, { subject, remedy: 'call it again: it goes on from where it was', cause: thrown.cause })
      fetching.note(`${thrown.message}; tried again from byte ${part.bytes}`)
    }
    await world.sleep(Math.min(pauseMs * 2 ** (failures - 1), longestPauseMs), call?.signal)
  }
}

/** What may be over when it is tried again. */
class Passing extends Error {}

async function attempt(fetching: Fetching, requests: ReturnType<typeof requester>, signal?: AbortSignal): Promise<void> {
  const { part, world, stallMs = stallLimitMs } = fetching
  const ending = new AbortController()
  const all = signal ? AbortSignal.any([signal, ending.signal]) : ending.signal
  const late = new Passing(`no byte came for ${stallMs / 1000} s`)
  let stop: () => void = () => undefined
  const wait = () => {
    stop()
    stop = world.after(stallMs, () => ending.abort(late))
  }
  wait()
  try {
    const validator = validatorOf(part.origin)
    const headers = part.bytes === 0 ? {} : { range: `bytes=${part.bytes}-`, ...(validator === undefined ? {} : { 'if-range': validator }) }
    const response = await requests.get(fetching.url, { headers, signal: all, subject: fetching.subject })
    try {
      const expected = await begun(fetching, response)
      if (expected !== 'whole') await taken(fetching, response, { ...expected, wait })
    } finally {
      response.destroy()
    }
  } catch (thrown) {
    if (signal?.aborted || thrown instanceof Passing || thrown instanceof TtError) throw thrown
    if (ending.signal.aborted) throw late
    throw asTtError(thrown).code === 'exhausted' ? asTtError(thrown) : new Passing(`the connection broke off (${reasonOf(thrown)})`, { cause: thrown })
  } finally {
    stop()
  }
}

/** What the answer's head says: how long the whole is, if that is known, after the part is cut to where the bytes begin; or that all is here. */
async function begun({ url, part, subject, room }: Fetching, response: IncomingMessage): Promise<{ totalBytes?: number } | 'whole'> {
  const { statusCode = 0, statusMessage = '', headers } = response
  const range = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/.exec(headers['content-range'] ?? '')
  if (statusCode === 416 && part.bytes > 0) {
    if (range?.[2] === String(part.bytes)) return 'whole'
    await part.cut()
    throw new Passing('it is another file by now')
  }
  const said = `${shownUrl(url)} is answered by ${statusCode} ${statusMessage}`.trim()
  if (statusCode === 408 || statusCode === 429 || statusCode >= 500) throw new Passing(said)
  if (statusCode === 404 || statusCode === 410) fail('not_found', said, { subject, remedy: 'see that the address is right' })
  if (statusCode !== 200 && statusCode !== 206) fail('failed', said, { subject, remedy: 'see that the address can be read without signing in, or write it as https://USER:PASSWORD@…' })
  if (!['', 'identity'].includes(headers['content-encoding'] ?? '')) fail('unsupported', `${shownUrl(url)} comes packed by ${headers['content-encoding']}`, { subject })
  if (statusCode === 206 && Number(range?.[1] ?? NaN) !== part.bytes) {
    await part.cut()
    throw new Passing('the server sent another part than was asked for')
  }
  if (statusCode === 200) await part.cut()
  part.remember({ ...(headers.etag === undefined ? {} : { etag: headers.etag }), ...(headers['last-modified'] === undefined ? {} : { lastModified: headers['last-modified'] }) })
  const length = headers['content-length'] === undefined ? undefined : Number(headers['content-length'])
  const totalBytes = range?.[2] !== undefined && range[2] !== '*' ? Number(range[2]) : length === undefined ? undefined : part.bytes + length
  if (totalBytes !== undefined && totalBytes - part.bytes > (await room())) fail('exhausted', `it has ${gigabytes(totalBytes)}, and there is room for ${gigabytes(await room())}`, { subject, remedy: "free space where the server's data directory lies" })
  return totalBytes === undefined ? {} : { totalBytes }
}

async function taken({ part, subject, room, onBytes }: Fetching, response: IncomingMessage, { totalBytes, wait }: { totalBytes?: number; wait: () => void }): Promise<void> {
  let unchecked = 0
  for await (const piece of response as AsyncIterable<Buffer>) {
    wait()
    unchecked += piece.length
    if (unchecked > roomEveryBytes && (unchecked = 0) === 0 && (await room()) === 0) fail('exhausted', "the host's disk is full", { subject, remedy: "free space where the server's data directory lies, and call it again: it goes on from where it was" })
    if (totalBytes !== undefined && part.bytes + piece.length > totalBytes) fail('failed', `more came than the ${totalBytes} bytes it is said to have`, { subject })
    await part.file.appendFile(piece)
    part.bytes += piece.length
    onBytes(part.bytes, totalBytes)
  }
  if (!response.complete || (totalBytes !== undefined && part.bytes < totalBytes)) throw new Passing('the connection broke off')
}

/** What proves to a server that the rest belongs to what is here. A weak mark proves nothing of bytes: RFC 9110, section 13.1.5. */
const validatorOf = ({ etag, lastModified }: Origin): string | undefined => (etag !== undefined && !etag.startsWith('W/') ? etag : lastModified)
