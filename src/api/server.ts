import type { AddressInfo, Socket } from 'node:net'
import { background } from '../base/background.ts'
import { randomHex, type World } from '../base/world.ts'
import { TtError } from '../model/errors.ts'
import { exchange, type Flight, type ServerParts } from './exchange.ts'
import { metrics } from './metrics.ts'
import { sendRefusal } from './refusal.ts'
import { upgrades, wantsWebSocket } from './upgrade.ts'

/** A Cloud over HTTP. Disposing it lets running answers finish for `drainMs` and ends the rest. */
export interface ApiServer extends AsyncDisposable {
  /** Port 0 chooses a free one. Once only. */
  listen(host: string, port: number): Promise<void>
  /** Where it listens; undefined before `listen` and after disposal. */
  readonly address: { host: string; port: number } | undefined
}

export interface ServerOptions extends ServerParts {
  /** Lines to add to `/metrics`. */
  meters?: () => string
  drainMs?: number
}

/**
 * Limits that keep strangers from holding it: a request's head and body must arrive in time, and nobody may open connections
 * without end. Bodies are limited in `body.ts`.
 */
const limits = { noDelay: true, keepAlive: true, headersTimeout: 10_000, requestTimeout: 60_000, connectionsCheckingInterval: 5000, keepAliveTimeout: 65_000, maxHeaderSize: 16 * 1024 }
const connectionsMax = 4096
/** What is aborted at the end of the drain may still say why. */
const lastWordsMs = 200

export function apiServer(options: ServerOptions): ApiServer {
  const { world, log, drainMs = 5000 } = options
  const work = background((name, fault) => log.error('a fault', { work: name, fault: String(fault) }))
  const sockets = new Set<Socket>()
  const flights = new Map<Flight, Socket>()
  let stopping: Promise<void> | undefined
  const gone = new TtError({ code: 'cancelled', message: 'the client is gone' })
  const nextId = requestIds(world)
  const counted = metrics(() => sockets.size, options.meters)

  const server = process.getBuiltinModule('node:http').createServer({ ...limits, shouldUpgradeCallback: wantsWebSocket }, (request, response) => {
    const flight: Flight = { controller: new AbortController(), endless: false }
    flights.set(flight, request.socket)
    response.on('close', () => {
      flights.delete(flight)
      if (!response.writableFinished) flight.controller.abort(gone)
      if (stopping) closeIdle()
    })
    if (stopping) response.setHeader('connection', 'close')
    work.run('exchange', () => exchange(request, response, { ...options, metrics: counted, nextId, flight }))
  })
  server.maxConnections = connectionsMax
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.on('clientError', sendRefusal)
  server.on('checkExpectation', (_request, response) => response.writeHead(417, { connection: 'close' }).end())
  const sessions = upgrades(server, { ...options, background: work })

  // Node's own `closeIdleConnections` spares those that have not asked anything yet, and browsers open some of them in advance.
  const closeIdle = () => {
    const used = new Set<unknown>([...flights.values(), ...sessions.sockets])
    for (const socket of sockets) if (!used.has(socket)) socket.destroySoon()
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
    [Symbol.asyncDispose]() {
      stopping ??= stop()
      return stopping
    },
  }
}

/** Ids that differ from those of other runs by chance and from each other by count. */
function requestIds(world: World): () => string {
  const run = randomHex(world, 4)
  let count = 0
  return () => `${run}-${(++count).toString(36)}`
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
