import type { World } from '../../base/world.ts'
import type { Call } from '../../model/call.ts'
import { errorOf, fail, type Problem, TtError } from '../../model/errors.ts'
import { abortOf, checkAborted } from '../aborted.ts'
import { foreign, late, lost, unreachable } from './faults.ts'
import { patiently } from './patience.ts'
import type { Transport } from './transport.ts'

/** One server, as the client reaches it. Everything it throws is a TtError. */
export interface Connection {
  /** `host:port`, for messages. */
  readonly place: string
  readonly url: string
  /** Rejects if the answer is a refusal, is no answer of ours, or does not begin in time. */
  ask(method: string, path: string, options: Asked): Promise<Answer>
  /** The whole answer as JSON; undefined if it has no body. */
  json(method: string, path: string, options: Asked): Promise<unknown>
}

interface Asked {
  /** The media type the answer must have. */
  accept: string
  headers?: Record<string, string>
  body?: unknown
  /** The body is in trouble after so many ms without a byte. */
  silenceMs?: number
  call?: Call
}

export interface Answer {
  header(name: string): string | undefined
  body: AsyncGenerator<Uint8Array>
  /** From now on the call's signal does not end the body. */
  detach(): void
  /** Drops what has not come yet. */
  stop(): void
}

export interface ConnectionOptions {
  token: string
  transport: Transport
  /** Without one nothing is ever late. */
  world?: Pick<World, 'after'>
  firstByteMs: number
}

/** Lists of a million VMs fit; a server gone mad does not. */
const jsonBytes = 400 * 1024 * 1024
const problemBytes = 64 * 1024
const jsonSilenceMs = 30_000

export function connection(url: string, options: ConnectionOptions): Connection {
  const base = url.replace(/\/+$/, '')
  const place = placeOf(base)

  const askOnce = async (method: string, path: string, asked: Asked): Promise<Answer> => {
    const { accept, headers, body, call } = asked
    checkAborted(call?.signal)
    const controller = new AbortController()
    const progress = { complete: false }
    const stop = () => {
      if (!progress.complete) controller.abort(call?.signal?.aborted ? abortOf(call.signal) : undefined)
    }
    call?.signal?.addEventListener('abort', stop, { once: true })
    const detach = () => call?.signal?.removeEventListener('abort', stop)
    const inTime = options.world?.after(options.firstByteMs, () => controller.abort(late(place, options.firstByteMs)))
    try {
      const answer = await options.transport(method, base + path, {
        headers: { ...headers, accept, authorization: `Bearer ${options.token}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: controller.signal,
      })
      inTime?.()
      const pieces = watched(answer.body, { place, controller, progress, detach, world: options.world, silenceMs: asked.silenceMs })
      if (answer.status >= 400) await refused(answer.status, pieces, place)
      const isOurs = answer.status === 204 || (answer.status < 300 && (answer.header('content-type') ?? '').startsWith(accept))
      if (!isOurs) throw foreign(place, `it answered ${answer.status} ${answer.header('content-type') ?? 'of no type'}`)
      return { header: answer.header, body: pieces, detach, stop }
    } catch (thrown) {
      detach()
      const reason: unknown = controller.signal.reason
      controller.abort()
      if (reason instanceof TtError) throw reason
      throw thrown instanceof TtError ? thrown : unreachable(thrown, place)
    } finally {
      inTime?.()
    }
  }

  const ask: Connection['ask'] = (method, path, asked) => patiently(() => askOnce(method, path, asked), { world: options.world, limitMs: options.firstByteMs, signal: asked.call?.signal })

  return {
    place,
    url: base,
    ask,
    async json(method, path, asked) {
      const answer = await ask(method, path, { silenceMs: jsonSilenceMs, ...asked })
      const text = await textOf(answer.body, jsonBytes, place)
      return text === '' ? undefined : parsed(text, place)
    },
  }
}

function placeOf(url: string): string {
  const parsedUrl = URL.parse(url)
  if (!parsedUrl || !/^https?:$/.test(parsedUrl.protocol)) return fail('invalid', `${JSON.stringify(url.slice(0, 100))} is no address of a server`, { remedy: 'write http://HOST:PORT' })
  return `${parsedUrl.hostname}:${parsedUrl.port || (parsedUrl.protocol === 'https:' ? 443 : 80)}`
}

interface Watching {
  place: string
  controller: AbortController
  /** Whether the body has come to its end. */
  progress: { complete: boolean }
  detach(): void
  world?: Pick<World, 'after'>
  silenceMs?: number
}

/** The body, with its faults as TtErrors and an end to silence; a reader that stops early drops the connection. */
async function* watched(body: AsyncIterable<Uint8Array>, { place, controller, progress, detach, world, silenceMs }: Watching): AsyncGenerator<Uint8Array> {
  const silent = () => controller.abort(lost(place, `nothing was heard from it for ${(silenceMs ?? 0) / 1000} s`))
  const arm = () => (silenceMs === undefined ? undefined : world?.after(silenceMs, silent))
  let disarm = arm()
  try {
    for await (const piece of body) {
      disarm?.()
      yield piece
      disarm = arm()
    }
    progress.complete = true
  } catch (fault) {
    const reason: unknown = controller.signal.reason
    throw reason instanceof TtError ? reason : lost(place, 'the connection broke', fault)
  } finally {
    disarm?.()
    detach()
    if (!progress.complete) controller.abort()
  }
}

/** Throws the error the server sent, as it was thrown there. */
async function refused(status: number, body: AsyncGenerator<Uint8Array>, place: string): Promise<never> {
  const text = await textOf(body, problemBytes, place)
  let problem: Partial<Problem> | undefined
  try {
    problem = (JSON.parse(text) as { error?: Partial<Problem> }).error
  } catch {
    problem = undefined
  }
  if (typeof problem?.code === 'string' && typeof problem.message === 'string') throw errorOf(problem)
  throw foreign(place, `it answered ${status} without a reason`)
}

async function textOf(body: AsyncGenerator<Uint8Array>, most: number, place: string): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const piece of body) {
    text += decoder.decode(piece, { stream: true })
    if (text.length > most) throw foreign(place, 'its answer is endless')
  }
  return text + decoder.decode()
}

export function parsed(text: string, place: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw foreign(place, 'its answer is cut short or no JSON')
  }
}
