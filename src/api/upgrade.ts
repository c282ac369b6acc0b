import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import type { Background } from '../base/background.ts'
import { asTtError, fail, problemOf, TtError } from '../model/errors.ts'
import { authenticated, heeded, pathOf, requestId, type ServerParts } from './exchange.ts'
import { offeredToken, protocolName } from './protocol.ts'
import { answerRaw } from './refusal.ts'
import { pathOf as routePath } from './routes.ts'
import { serveSession } from './session-serving.ts'
import type { Wire } from './wire.ts'

const messageBytes = 1024 * 1024
/** A client that opened the connection has so long to say what it wants. */
const requestMs = 10_000
/** A dead client is noticed within two of these. */
const pingMs = 30_000

export const wantsWebSocket = ({ headers, method }: IncomingMessage): boolean => method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket'

/** Sessions over WebSockets. */
export interface Upgrades {
  /** Connections that are sessions now, or about to be. */
  readonly sockets: ReadonlySet<Duplex>
  /** Ends all of them, each told why. */
  close(reason: TtError): void
}

export function upgrades(server: Server, { background, ...parts }: Joining & { background: Background }): Upgrades {
  const open = new Set<AbortController>()
  const sockets = new Set<Duplex>()
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy()).on('close', () => sockets.delete(socket))
    background.run('session', async () => {
      try {
        await join(request, { socket, head }, { parts, open })
      } catch (thrown) {
        answerRaw(socket, problemOf(thrown))
      }
    })
  })
  return {
    sockets,
    close(reason) {
      for (const controller of open) controller.abort(reason)
    },
  }
}

interface Joining extends ServerParts {
  /** Names a request that did not come with a name. */
  nextId(): string
}

async function join(request: IncomingMessage, { socket, head }: { socket: Duplex; head: Buffer }, { parts, open }: { parts: Joining; open: Set<AbortController> }): Promise<void> {
  const { world, log } = parts
  const id = requestId(request) ?? parts.nextId()
  const caller = await authenticated(withOfferedToken(request), parts)
  const { user, token } = caller
  if (!wantsWebSocket(request)) fail('invalid', 'no other upgrade than to a WebSocket is offered')
  if (pathOf(request.url ?? '').raw !== routePath('join-session')) fail('not_found', 'there is no WebSocket at this path', { remedy: `connect to ${routePath('join-session')}` })
  const cloud = parts.cloudFor(user, { request: id, token })
  const { WebSocketServer } = await import('ws')
  const acceptor = new WebSocketServer({ noServer: true, maxPayload: messageBytes, perMessageDeflate: false, clientTracking: false, handleProtocols: (names) => (names.has(protocolName) ? protocolName : false) })
  // `ws` refuses a broken handshake by itself: it answers and closes, and this event says that it did.
  const socketOpen = await new Promise<WebSocket | undefined>((resolve) => {
    socket.once('close', () => resolve(undefined))
    acceptor.handleUpgrade(request, socket, head, resolve)
  })
  if (!socketOpen) return
  const controller = new AbortController()
  using _ = heeded(caller, controller)
  open.add(controller)
  const began = world.ticks()
  const gone = new TtError({ code: 'cancelled', message: 'the client is gone' })
  socketOpen.binaryType = 'nodebuffer'
  socketOpen.on('close', () => controller.abort(gone))
  socketOpen.on('error', () => undefined) // `close` follows.
  const stopHurry = world.after(requestMs, () => controller.abort(new TtError({ code: 'timeout', message: 'no request came' })))
  socketOpen.once('message', stopHurry)
  const stopPings = pinged(socketOpen, () => controller.abort(gone), parts)
  await serveSession(socketOpen as unknown as Wire, { cloud, controller })
  stopHurry()
  stopPings()
  open.delete(controller)
  await closed(socketOpen, parts)
  log.info('session over', { request: id, user: user.name, token, ms: Math.round(world.ticks() - began), end: controller.signal.aborted ? asTtError(controller.signal.reason).code : 'ended' })
}

/** The request with the token a browser offered as if it had come in the header for tokens. */
function withOfferedToken(request: IncomingMessage): IncomingMessage {
  const token = offeredToken(request.headers['sec-websocket-protocol'])
  if (token !== undefined) request.headers.authorization ??= `Bearer ${token}`
  return request
}

function pinged(socket: WebSocket, dead: () => void, { world }: ServerParts): () => void {
  let answered = true
  let stop = () => undefined as void
  socket.on('pong', () => (answered = true))
  const turn = () => {
    if (!answered) return dead()
    answered = false
    socket.ping()
    stop = world.after(pingMs, turn)
  }
  stop = world.after(pingMs, turn)
  return () => stop()
}

/** Waits for the closing handshake for a second; a client that does not take part is cut off. */
async function closed(socket: WebSocket, { world }: ServerParts): Promise<void> {
  if (socket.readyState === socket.CLOSED) return
  const stop = world.after(1000, () => socket.terminate())
  await new Promise<void>((resolve) => socket.once('close', () => resolve()))
  stop()
}
