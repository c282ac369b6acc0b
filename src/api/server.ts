import type { Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fail, TtError } from '../model/errors.ts'
import { exchange, type ServerParts } from './exchange.ts'
import { metrics } from './metrics.ts'
import { sendRefusal } from './refusal.ts'
import { upgrades } from './upgrade.ts'

export type { ServerParts } from './exchange.ts'

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

const http = () => process.getBuiltinModule('node:http')

/**
 * Limits that keep strangers from holding it: a request's head and body must arrive in time, and nobody may open connections
 * without end. Bodies are limited in `body.ts`.
 */
const limits = { headersTimeout: 10_000, requestTimeout: 60_000, connectionsCheckingInterval: 5000, keepAliveTimeout: 65_000, maxHeaderSize: 16 * 1024 }
const connectionsMax = 4096

export function apiServer(options: ServerOptions): ApiServer {
  const { world, drainMs = 5000 } = options
  const busy = new Set<AbortController>()
  const counted = metrics(() => connections, options.meters)
  let connections = 0
  let stopping: Promise<void> | undefined

  const server: Server = http().createServer({ ...limits, noDelay: true, keepAlive: true }, (request, response) => {
    const controller = new AbortController()
    busy.add(controller)
    response.on('close', () => {
      busy.delete(controller)
      controller.abort()
      if (stopping) server.closeIdleConnections()
    })
    if (stopping) response.setHeader('connection', 'close')
    // Never rejects.
    void exchange(request, response, { ...options, metrics: counted, controller })
  })
  server.maxConnections = connectionsMax
  server.on('connection', (socket) => {
    connections++
    socket.on('close', () => connections--)
  })
  server.on('clientError', sendRefusal)
  server.on('checkExpectation', (_request, response: ServerResponse) => response.writeHead(417, { connection: 'close' }).end())
  const joined = upgrades(server, options)

  const stop = async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    const reason = new TtError({ code: 'unavailable', message: 'the server is stopping', remedy: 'try again in a moment' })
    await Promise.race([closed, world.sleep(drainMs)])
    for (const controller of busy) controller.abort(reason)
    await joined.close(reason)
    await Promise.race([closed, world.sleep(200)])
    server.closeAllConnections()
    await closed
  }

  return {
    async listen(host, port) {
      await new Promise<void>((resolve, reject) => {
        server.once('error', (fault: NodeJS.ErrnoException) => reject(listenError(fault, host, port)))
        server.listen({ host, port }, resolve)
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
