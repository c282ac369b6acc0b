import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Log } from '../base/log.ts'
import type { World } from '../base/world.ts'
import type { Cloud } from '../model/cloud.ts'
import { fail, type Problem, problemOf, TtError } from '../model/errors.ts'
import { shown } from '../model/names.ts'
import type { Caller, Origin, User } from '../model/user.ts'
import { bytesOfBody, jsonBody } from './body.ts'
import { checked } from './checked.ts'
import { type Endpoint, endpoints } from './endpoints.ts'
import type { Metrics } from './metrics.ts'
import { expectOf } from './preconditions.ts'
import { type Match, match } from './routes.ts'
import { retryAfterSeconds } from './refusal.ts'
import { send, sendProblem } from './sending.ts'

/** What a server is made of. */
export interface ServerParts {
  /** The Cloud as this user may see it. Called per request. */
  cloudFor(user: User, origin: Origin): Cloud
  /** Whose token it is; compares in constant time. `from` is the address it came from. May refuse with `unauthenticated` itself, to say why to who has the token. */
  authenticate(token: string, from?: string): Caller | undefined | Promise<Caller | undefined>
  world: World
  log: Log
}

export interface Exchanging extends ServerParts {
  metrics: Metrics
  /** Names a request that did not come with a name. */
  nextId(): string
  flight: Flight
}

/** A request being answered. */
export interface Flight {
  /** Aborted when the client is gone or the server stops. */
  controller: AbortController
  /** It ends by being aborted only: a server that stops does not wait for it. */
  endless: boolean
  /** Its body is read while it comes, however long that takes. */
  streams?: boolean
}

/** One request and its answer. Never rejects: whatever goes wrong is answered, or cuts the connection if the answer has begun. */
export async function exchange(request: IncomingMessage, response: ServerResponse, parts: Exchanging): Promise<void> {
  const { world, metrics } = parts
  const began = world.ticks()
  const id = requestId(request) ?? parts.nextId()
  const { method = 'GET' } = request
  const path = pathOf(request.url ?? '/')
  const log = parts.log.with({ request: id, method, path: path.raw })
  const seen: Seen = {}
  for (const [name, value] of fixedHeaders) response.setHeader(name, value)
  response.setHeader('x-request-id', id)
  try {
    await answer({ request, response, id, path, parts, seen })
  } catch (thrown) {
    parts.flight.streams = false
    refuse(thrown, { response, log, id })
  }
  const ms = world.ticks() - began
  metrics.answered(seen.route ?? 'none', response.statusCode, ms)
  const note = { status: response.statusCode, ms: Math.round(ms * 10) / 10, user: seen.caller?.user.name, token: seen.caller?.token }
  if (response.statusCode === 401) log.warn('not let in', { ...note, from: request.socket.remoteAddress })
  else if (method === 'GET' || method === 'HEAD') log.debug('answered', note)
  else log.info('answered', note)
}

const fixedHeaders = [
  ['cache-control', 'no-store'],
  ['x-content-type-options', 'nosniff'],
] as const

interface Path {
  raw: string
  query: string
}

interface Answering {
  request: IncomingMessage
  response: ServerResponse
  id: string
  path: Path
  parts: Exchanging
  seen: Seen
}

/** What the log is to say, filled in as it becomes known. */
interface Seen {
  caller?: Caller
  route?: string
}

async function answer({ request, response, id, path, parts, seen }: Answering): Promise<void> {
  const { method: spoken = 'GET' } = request
  const method = spoken === 'HEAD' ? 'GET' : spoken
  const isPing = path.raw === '/ping' && method === 'GET'
  const caller = isPing ? { user: nobody } : await authenticated(request, parts)
  seen.caller = caller
  using _ = heeded(caller, parts.flight.controller)
  const found = matched(method, path.raw)
  const { route } = found
  if (!route) {
    response.setHeader('allow', allowed(found))
    if (method === 'OPTIONS') response.writeHead(204).end()
    else sendProblem(response, notOffered(spoken, path.raw, found), 405)
    return
  }
  seen.route = route.id
  const reply = await endpoints[route.id].answer(await asking({ request, id, path, parts, found: { ...found, route }, caller }))
  // The head alone is wanted, so whatever would stream is ended before it begins.
  if (spoken === 'HEAD') parts.flight.controller.abort()
  await send(reply, { response, world: parts.world, signal: parts.flight.controller.signal })
}

const notOffered = (method: string, path: string, found: Match): Problem => ({
  code: 'unsupported',
  message: `${method} is not offered here`,
  subject: found.kind === undefined ? path.slice(0, 300) : `${found.kind}/${found.params.name ?? ''}`,
  remedy: `use ${allowed(found)}`,
})

async function asking(from: { request: IncomingMessage; id: string; path: Path; parts: Exchanging; found: Match & { route: NonNullable<Match['route']> }; caller: Caller }) {
  const { request, id, path, parts, found, caller } = from
  const endpoint: Endpoint = endpoints[found.route.id]
  const { headers } = request
  const expect = expectOf(headers['if-match'], request.method === 'GET' || request.method === 'HEAD' ? undefined : headers['if-none-match'])
  if (expect !== undefined && !endpoint.conditional) fail('invalid', 'preconditions are not offered here', { remedy: 'leave If-Match and If-None-Match out' })
  const query = checked(endpoint.query, queryOf(path.query), 'the query')
  const wantsEvents = /\btext\/event-stream\b/.test(headers.accept ?? '')
  parts.flight.streams = endpoint.streams ?? false
  parts.flight.endless = wantsEvents || isPatient(query)
  return {
    cloud: parts.cloudFor(caller.user, { request: id, token: caller.token }),
    params: found.params,
    query,
    body: endpoint.body ? checked(endpoint.body, await jsonBody(request), 'the body') : undefined,
    ...(endpoint.streams ? { bytes: bytesOfBody(request, parts.world) } : {}),
    expect,
    wantsEvents,
    metrics: parts.metrics.text,
    openapi: async () => (await import('./openapi.ts')).openapi(),
    world: parts.world,
    call: { signal: parts.flight.controller.signal },
  }
}

/** Whether the query asks to wait for what may never come. */
const isPatient = (query: unknown) => ['wait', 'follow'].some((name) => Boolean((query as Record<string, unknown>)[name]))

const nobody: User = { name: 'nobody', role: 'user' }

/** Refuses without a valid token, whatever the path: a stranger learns nothing of what is there. */
export async function authenticated({ headers, socket }: IncomingMessage, { authenticate }: ServerParts): Promise<Caller> {
  const token = /^bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1]
  const caller = token === undefined ? undefined : await authenticate(token, socket.remoteAddress)
  return caller ?? fail('unauthenticated', token === undefined ? 'no token was given' : 'the token is not valid', { remedy: 'send the header "authorization: Bearer TOKEN"' })
}

/** Ends what is done for a caller when the caller's token ends. */
export function heeded({ revoked }: Caller, controller: AbortController): Disposable {
  const end = () => controller.abort(revoked?.reason)
  if (revoked?.aborted) end()
  else revoked?.addEventListener('abort', end, { once: true })
  return { [Symbol.dispose]: () => revoked?.removeEventListener('abort', end) }
}

/** Path and query as they came; an absolute URL, as for proxies, is taken for its path. */
export function pathOf(url: string): Path {
  const local = url.startsWith('/') ? url : (/^https?:\/\/[^/?]*(.*)$/i.exec(url)?.[1] ?? url)
  const at = local.indexOf('?')
  return at < 0 ? { raw: local || '/', query: '' } : { raw: local.slice(0, at) || '/', query: local.slice(at + 1) }
}

function matched(method: string, path: string): Match {
  let found: Match | undefined
  try {
    found = match(method, path)
  } catch {
    fail('invalid', 'the path has a broken percent-encoding')
  }
  return found ?? fail('not_found', `there is nothing at ${shown(path)}`, { remedy: 'see /v1/openapi.json' })
}

const allowed = ({ allow }: Match) => [...allow, ...(allow.includes('GET') ? ['HEAD'] : []), 'OPTIONS'].join(', ')

function queryOf(query: string): Record<string, string> {
  const entries = [...new URLSearchParams(query)]
  const names = entries.map(([name]) => name)
  const twice = names.find((name, at) => names.indexOf(name) !== at)
  if (twice !== undefined) fail('invalid', `the query names ${shown(twice)} twice`)
  return Object.fromEntries(entries)
}

/** A caller's own id of a request, if it is harmless in a header and a log. */
export function requestId({ headers }: IncomingMessage): string | undefined {
  const given = headers['x-request-id']
  return typeof given === 'string' && /^[\w.-]{1,64}$/.test(given) ? given : undefined
}

function refuse(thrown: unknown, { response, log, id }: { response: ServerResponse; log: Log; id: string }): void {
  const problem = problemOf(thrown)
  const isFault = problem.code === 'internal' && !(thrown instanceof TtError)
  if (problem.code === 'internal') log.error('a fault', { fault: thrown instanceof Error ? thrown.stack : String(thrown) })
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  // A stranger is not kept: the rest of what it sends is not waited for.
  if (problem.code === 'limited') response.setHeader('retry-after', retryAfterSeconds)
  if (problem.code === 'unauthenticated') response.setHeader('www-authenticate', 'Bearer').setHeader('connection', 'close')
  sendProblem(response, isFault ? { code: 'internal', message: 'the server has a fault', remedy: `look for the request ${id} in its log` } : problem)
}
