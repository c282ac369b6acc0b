import type { World } from '../base/world.ts'
import type { Call } from '../model/call.ts'
import type { About, Change, Cloud, Collection, Listing, ListOptions, PutOptions } from '../model/cloud.ts'
import { errorOf, fail, type Problem, TtError } from '../model/errors.ts'
import type { Kind, Resource } from '../model/kinds.ts'
import type { Session, SessionRequest } from '../model/session.ts'
import { checkAborted } from './aborted.ts'
import { type Connection, connection, parsed } from './client/connection.ts'
import { eventsOf, linesOf } from './client/events.ts'
import { foreign, late, lost, unreachable } from './client/faults.ts'
import { lineSession } from './client/line-session.ts'
import { patiently } from './client/patience.ts'
import { socketSession } from './client/socket-session.ts'
import { browserSocket, fetchTransport, type OpenSocket, type Transport } from './client/transport.ts'
import { tagOf } from './preconditions.ts'
import { pathOf, pathTo } from './routes.ts'
import { needsInput } from './sessions.ts'

export interface HttpCloudOptions {
  token: string
  /** How requests travel; `fetch` if left out. Proxies of the environment are not used: a cloud is reached directly. */
  request?: Transport
  socket?: OpenSocket
  /** Time, for noticing a server that does not answer; without it only the transport's own limits hold. */
  world?: Pick<World, 'after'>
  /** An answer must have begun by then. */
  firstByteMs?: number
}

/** A watch that is silent for three heartbeats is broken. */
const watchSilenceMs = 45_000
const eventLength = 64 * 1024 * 1024

/**
 * One Cloud over HTTP. Errors are those of the Cloud behind it, and `unavailable` or `timeout` for what is between. A watch that breaks
 * rejects and is not resumed: whoever watches begins again and gets the state whole.
 */
export function httpCloud(url: string, options: HttpCloudOptions): Cloud {
  const { token, world, request = fetchTransport, socket = browserSocket, firstByteMs = 8000 } = options
  const server = connection(url, { token, transport: request, world, firstByteMs })
  return {
    async about(call) {
      const about = await server.json('GET', pathOf('about'), { accept: json, call })
      return isObject(about) && typeof about.version === 'string' ? (about as unknown as About) : notOurs(server)
    },
    collection: (kind) => httpCollection(server, kind),
    async open(asked, call) {
      // Files come as they are over a WebSocket; as lines they would be a third larger, and text to be made and read.
      if (needsInput(asked) || asked.type === 'get') return patiently(() => joined(server, asked, { socket, token, call, world, firstByteMs }), { world, limitMs: firstByteMs, signal: call?.signal })
      const answer = await server.ask('POST', pathOf('session'), { accept: 'application/x-ndjson', body: asked, call })
      answer.detach()
      return lineSession(answer, server.place)
    },
  }
}

const json = 'application/json'

function httpCollection<K extends Kind>(server: Connection, kind: K): Collection<K> {
  const one = async (method: string, name: string, more: { headers?: Record<string, string>; body?: unknown; call?: Call }) => {
    const value = await server.json(method, pathTo(kind, name), { accept: json, ...more })
    return isResource(value, kind) ? value : notOurs(server)
  }
  return {
    get: (name, call) => one('GET', name, { call }),
    async list(options = {}, call) {
      const value = await server.json('GET', pathTo(kind) + queryOf(options), { accept: json, call })
      return isListing(value, kind) ? value : notOurs(server)
    },
    put: (name, { expect, ...body }, call) => one('PUT', name, { headers: conditionOf(expect), body, call }),
    async remove(name, { keepDisks, ...options } = {}, call) {
      const kept = keepDisks === undefined ? {} : { keepDisks: keepDisks ? '1' : '0' } // Not to keep them is a wish too.
      await server.json('DELETE', pathTo(kind, name) + queryOf({ ...options, ...kept }), { accept: json, call })
    },
    watch: (options = {}, call) => changes(server, kind, { ...options, call }),
  }
}

/** What is set, as a query; a switch that is on is 1. */
function queryOf(options: object): string {
  const set = Object.entries(options).flatMap(([name, value]: [string, unknown]) => (typeof value === 'string' ? [[name, value] as [string, string]] : value === true ? [[name, '1'] as [string, string]] : []))
  return set.length === 0 ? '' : `?${new URLSearchParams(set).toString()}`
}

function conditionOf(expect: PutOptions<Kind>['expect']): Record<string, string> {
  if (expect === undefined) return {}
  if (expect === 'absent') return { 'if-none-match': '*' }
  return { 'if-match': tagOf(expect) ?? fail('invalid', `${JSON.stringify(expect.slice(0, 80))} is no revision`) }
}

async function* changes<K extends Kind>(server: Connection, kind: K, { call, ...options }: ListOptions & { call?: Call }): AsyncGenerator<Change<K>> {
  if (call?.signal?.aborted) return
  try {
    const answer = await server.ask('GET', pathTo(kind) + queryOf(options), { accept: 'text/event-stream', silenceMs: watchSilenceMs, call })
    const lines = linesOf(answer.body, { most: eventLength, endless: () => foreign(server.place, 'an event of it is endless') })
    for await (const { event, data } of eventsOf(lines)) yield changeOf(event, parsed(data, server.place), { server, kind })
    throw lost(server.place, 'the watch ended')
  } catch (thrown) {
    if (!call?.signal?.aborted) throw thrown
  }
}

function changeOf<K extends Kind>(event: string, data: unknown, { server, kind }: { server: Connection; kind: K }): Change<K> {
  if (event === 'synced') return { type: 'synced' }
  if (event === 'is' && isResource(data, kind)) return { type: 'is', resource: data }
  if (event === 'gone' && isObject(data) && typeof data.name === 'string') return { type: 'gone', name: data.name }
  if (event === 'problem' && isObject(data) && isObject(data.error)) throw errorOf(data.error as Partial<Problem>)
  return notOurs(server)
}

interface Joining {
  socket: OpenSocket
  token: string
  call?: Call
  world?: Pick<World, 'after'>
  firstByteMs: number
}

async function joined(server: Connection, request: SessionRequest, { socket, token, call, world, firstByteMs }: Joining): Promise<Session> {
  checkAborted(call?.signal)
  const controller = new AbortController()
  const stop = () => controller.abort(call?.signal?.reason)
  call?.signal?.addEventListener('abort', stop, { once: true })
  const inTime = world?.after(firstByteMs, () => controller.abort(late(server.place, firstByteMs)))
  try {
    const { signal } = controller
    const wire = await socket(server.url.replace(/^http/, 'ws') + pathOf('join-session'), { token, signal })
    return await socketSession(wire, request, { place: server.place, signal })
  } catch (thrown) {
    checkAborted(controller.signal)
    throw thrown instanceof TtError ? thrown : unreachable(thrown, server.place)
  } finally {
    inTime?.()
    call?.signal?.removeEventListener('abort', stop)
  }
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)
const isResource = <K extends Kind>(value: unknown, kind: K): value is Resource<K> => isObject(value) && value.kind === kind && typeof value.name === 'string' && isObject(value.spec)
const isListing = <K extends Kind>(value: unknown, kind: K): value is Listing<K> =>
  isObject(value) && Array.isArray(value.items) && Array.isArray(value.missing) && value.items.every((item) => isResource(item, kind))
const notOurs = (server: Connection): never => {
  throw foreign(server.place, 'its answer is not what was asked for')
}
