import type { Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { background } from '../base/background.ts'
import { randomHex, type World } from '../base/world.ts'
import { TtError } from '../model/errors.ts'
import { exchange, type Flight, type ServerParts } from './exchange.ts'
import { metrics } from './metrics.ts'
import { type RateLimit, rateLimited } from './rate-limit.ts'
import { refuseHandshake, sendRefusal } from './refusal.ts'
import { upgrades, wantsWebSocket } from './upgrade.ts'

/** A Cloud over HTTP. Disposing it lets running answers finish for `drainMs` and ends the rest. */
export interface ApiServer extends AsyncDisposable {
  /** Port 0 chooses a free one. Once only. */
  listen(host: string, port: number): Promise<void>
  /** Where it listens; undefined before `listen` and after disposal. */
  readonly address: { host: string; port: number } | undefined
  /** Shows another certificate from now on; connections that are open keep the one they began with. Only for a server that began with one. */
  secure(certificate: Identity): void
}

/** A certificate in PEM, those of its chain after it, and its key. */
export interface Identity {
  cert: string
  key: string
}

export interface ServerOptions extends ServerParts {
  /** Lines to add to `/metrics`, each with its end. */
  meters?: () => string | Promise<string>
  /** How often a token may ask; without it nobody is held up, strangers neither. */
  rateLimit?: RateLimit
  /** With it the server speaks TLS, 1.2 or newer, and nothing else. */
  tls?: Identity
  drainMs?: number
}

/**
 * Limits that keep strangers from holding it: a request's head and body must arrive in time, and nobody may open connections
 * without end. Bodies are limited in `body.ts`.
 */
const limits = { noDelay: true, keepAlive: true, headersTimeout: 10_000, requestTimeout: 0, connectionsCheckingInterval: 5000, keepAliveTimeout: 65_000, maxHeaderSize: 16 * 1024 }
/** A request's body must arrive in this time, but for one that is read while it comes: that has to go on (`body.ts`). */
const requestMs = 60_000
const connectionsMax = 4096
const tlsOptions = { minVersion: 'TLSv1.2', handshakeTimeout: limits.headersTimeout, ALPNProtocols: ['http/1.1'] } as const
/** What is aborted at the end of the drain may still say why. */
const lastWordsMs = 200

export function apiServer(options: ServerOptions): ApiServer {
  const { world, log, drainMs = 5000 } = options
  const work = background((name, fault) => log.error('a fault', { work: name, fault: String(fault) }))
  const sockets = socketsOf()
  const flights = new Map<Flight, Socket>()
  let stopping: Promise<void> | undefined
  const gone = new TtError({ code: 'cancelled', message: 'the client is gone' })
  const nextId = requestIds(world)
  const limited = options.rateLimit && rateLimited(options.authenticate, options.rateLimit, world)
  const parts = { ...options, authenticate: limited?.authenticate ?? options.authenticate }
  const counted = metrics(() => sockets.size, async () => (limited?.lines() ?? '') + ((await options.meters?.()) ?? ''))

  const serverOptions = { ...limits, shouldUpgradeCallback: wantsWebSocket }
  const secured = options.tls && process.getBuiltinModule('node:https').createServer({ ...serverOptions, ...tlsOptions, ...options.tls })
  const server: Server = secured ?? process.getBuiltinModule('node:http').createServer(serverOptions)
  server.on('request', (request, response) => {
    const flight: Flight = { controller: new AbortController(), endless: false }
    flights.set(flight, request.socket)
    const notForever = () => {
      if (request.complete) return
      if (flight.streams) stopWaiting = world.after(requestMs, notForever)
      else sendRefusal(Object.assign(new Error('late'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }), request.socket)
    }
    let stopWaiting = world.after(requestMs, notForever)
    request.on('close', () => stopWaiting())
    response.on('close', () => {
      flights.delete(flight)
      if (!response.writableFinished) flight.controller.abort(gone)
      if (stopping) closeIdle()
    })
    if (stopping) response.setHeader('connection', 'close')
    work.run('exchange', () => exchange(request, response, { ...parts, metrics: counted, nextId, flight }))
  })
  server.maxConnections = connectionsMax
  server.on('connection', (socket) => sockets.add(socket))
  secured?.on('secureConnection', (socket) => sockets.add(socket))
  server.on('clientError', (fault, socket) => {
    const bare = sockets.under(socket as Socket)
    if (bare) refuseHandshake(fault, bare)
    else sendRefusal(fault, socket)
  })
  server.on('checkExpectation', (_request, response) => response.writeHead(417, { connection: 'close' }).end())
  const sessions = upgrades(server, { ...parts, nextId, background: work })

  // Node's own `closeIdleConnections` spares those that have not asked anything yet, and browsers open some of them in advance.
  const closeIdle = () => {
    const used = new Set<unknown>([...flights.values(), ...sessions.sockets])
    for (const socket of sockets.all()) if (!used.has(socket)) socket.destroySoon()
  }
  const stop = async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    const reason = new TtError({ code: 'unavailable', message: 'the server is stopping', remedy: 'try again in a moment' })
    for (const { controller, endless } of flights.keys()) if (endless) controller.abort(reason)
    closeIdle()
    await Promise.race([closed, world.sleep(drainMs)])
    for (const { controller } of flights.keys()) controller.abort(reason)
    sessions.close(reason)
    await Promise.race([closed, world.sleep(lastWordsMs)])
    server.closeAllConnections()
    for (const socket of sockets.all()) socket.destroy()
    await work[Symbol.asyncDispose]()
    await closed
  }

  return {
    async listen(host, port) {
      await new Promise<void>((resolve, reject) => {
        const refused = (fault: NodeJS.ErrnoException) => reject(listenError(fault, host, port))
        server.once('error', refused)
        server.listen({ host, port }, () => {
          server.off('error', refused).on('error', (fault) => log.error('a fault', { work: 'listening', fault: String(fault) }))
          resolve()
        })
      })
    },
    get address() {
      const address = server.address() as AddressInfo | null
      return address ? { host: address.address, port: address.port } : undefined
    },
    secure(certificate) {
      secured?.setSecureContext({ ...tlsOptions, ...certificate })
    },
    [Symbol.asyncDispose]() {
      stopping ??= stop()
      return stopping
    },
  }
}

/** Connections that are open. One by TLS is counted once: as the bare one until it is secured, as the secured one from then on. */
function socketsOf() {
  const open = new Map<string, Socket>()
  const placeOf = ({ remoteAddress, remotePort }: Socket) => `${remoteAddress} ${remotePort}`
  return {
    get size() {
      return open.size
    },
    all: () => [...open.values()],
    add(socket: Socket) {
      const place = placeOf(socket)
      open.set(place, socket)
      socket.on('close', () => {
        if (open.get(place) === socket) open.delete(place)
      })
    },
    /** The bare connection below one whose handshake is not over. */
    under(socket: Socket) {
      const bare = open.get(placeOf(socket))
      return bare === socket ? undefined : bare
    },
  }
}

/** Ids that differ from those of other runs by chance and from each other by count. */
function requestIds(world: World): () => string {
  const run = randomHex(world, 4)
  let count = 0
  return () => `${run}-${(++count).toString(36)}`
}

/** Refuses as `listen` would, without a server: before anything is made that a server which cannot listen would leave behind. */
export async function checkListening(host: string, port: number): Promise<void> {
  const server = process.getBuiltinModule('node:net').createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', (fault: NodeJS.ErrnoException) => reject(listenError(fault, host, port)))
    server.listen({ host, port }, () => resolve())
  })
  await new Promise<void>((resolve) => server.close(() => resolve()))
}

function listenError(fault: NodeJS.ErrnoException, host: string, port: number): unknown {
  const reasons: Record<string, string> = {
    EADDRINUSE: 'another program listens there',
    EADDRNOTAVAIL: 'this machine has no such address',
    EACCES: 'that port is not allowed to this user',
    ENOTFOUND: 'the name has no address',
  }
  const why = reasons[fault.code ?? '']
  if (why === undefined) return fault
  return new TtError({ code: 'unavailable', message: `cannot listen on ${host} port ${port}: ${why}`, remedy: 'choose another with --serv-addr and --serv-port' }, fault)
}
