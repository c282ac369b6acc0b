import type { IncomingMessage } from 'node:http'
import type { ClientOptions, WebSocket } from 'ws'
import { errorOf, type Problem } from '../model/errors.ts'
import type { OpenSocket, Transport } from './client/transport.ts'
import type { SecureDial } from './secure-dial.ts'
import type { Wire } from './wire.ts'

/** What `httpCloud` travels by on Node: connections that are kept, and `ws` once a session needs it. */
export interface NodeTransport extends Disposable {
  request: Transport
  socket: OpenSocket
}

/**
 * One per program and server. With a fingerprint, connections by TLS are to the server with that key and to no other. Disposing it closes the connections
 * that are kept; none of them keeps the process alive.
 */
export function nodeTransport({ fingerprint }: { fingerprint?: string } = {}): NodeTransport {
  const agents = { 'http:': lazily(() => new (http().Agent)(agentOptions)), 'https:': lazily(() => new (https().Agent)(agentOptions)) }
  const dial = lazily(async () => (await import('./secure-dial.ts')).secureDial(fingerprint))
  const send: Transport = async (method, url, { headers, body, signal }) => {
    const { protocol, hostname, port } = new URL(url)
    const secure = protocol === 'https:'
    const path = url.slice(url.indexOf('/', url.indexOf('//') + 2))
    const agent = agents[secure ? 'https:' : 'http:'].get()
    if (secure) Object.assign(agent, { createConnection: await dial.get() })
    const length = body === undefined ? (method === 'PUT' || method === 'POST' ? { 'content-length': 0 } : {}) : { 'content-length': Buffer.byteLength(body) }
    return new Promise((resolve, reject) => {
      const request = (secure ? https() : http()).request(
        { method, agent, path, host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? undefined : port, headers: { ...headers, ...length }, ...(secure ? { giveUp: signal } : {}) },
        (response) => {
          response.on('error', () => undefined) // Whoever reads the body hears of it there.
          stop = () => {
            response.destroy()
          }
          resolve({ status: response.statusCode ?? 0, header: (name) => headerOf(response, name), body: response })
        },
      )
      // Not by the option `signal`: it would destroy a connection that was given back to the agent already.
      let stop = (): void => {
        request.destroy(new Error('the request was aborted'))
      }
      signal.addEventListener('abort', () => stop(), { once: true })
      request.on('error', (fault) => reject(Object.assign(fault, { reused: request.reusedSocket })))
      request.end(body)
    })
  }
  return {
    async request(method, url, options) {
      try {
        return await send(method, url, options)
      } catch (fault) {
        // The server closed a kept connection just then: https://nodejs.org/api/http.html#requestreusedsocket
        const { reused, code } = fault as { reused?: boolean; code?: string }
        if (reused && code === 'ECONNRESET' && method !== 'POST' && !options.signal.aborted) return send(method, url, options)
        throw fault
      }
    },
    socket: async (url, options) => nodeSocket(url, { ...options, ...(url.startsWith('wss:') ? { createConnection: await dial.get() } : {}) }),
    [Symbol.dispose]() {
      for (const agent of Object.values(agents)) agent.made()?.destroy()
    },
  }
}

const http = () => process.getBuiltinModule('node:http')
const https = () => process.getBuiltinModule('node:https')
const agentOptions = { keepAlive: true, noDelay: true }
const headerOf = ({ headers }: IncomingMessage, name: string) => headers[name]?.toString()

function lazily<T>(make: () => T) {
  let value: T | undefined
  return { get: () => (value ??= make()), made: () => value }
}

async function nodeSocket(url: string, { token, signal, createConnection }: Parameters<OpenSocket>[1] & { createConnection?: SecureDial }): Promise<Wire> {
  const { WebSocket } = await import('ws')
  const socket: WebSocket = new WebSocket(url, {
    headers: { authorization: `Bearer ${token}` },
    perMessageDeflate: false,
    maxPayload: 16 * 1024 * 1024,
    // The mask keeps scripts of web pages from writing bytes of their choice into a proxy (RFC 6455, 10.3). No page runs here, and by zeros nothing has to be turned over on either side.
    generateMask: (mask) => mask.fill(0),
    handshakeTimeout: 8000,
    ...(createConnection ? { createConnection: createConnection as unknown as ClientOptions['createConnection'] } : {}),
  })
  socket.binaryType = 'nodebuffer'
  return new Promise((resolve, reject) => {
    socket.on('error', reject)
    socket.once('open', () => resolve(socket as unknown as Wire))
    socket.once('unexpected-response', (_request, response) => {
      refusalIn(response).then(reject, reject)
    })
    signal.addEventListener('abort', () => socket.terminate(), { once: true })
  })
}

/** The error of a refused upgrade, as it was thrown at the server. */
async function refusalIn(response: IncomingMessage): Promise<Error> {
  let text = ''
  for await (const piece of response) {
    text += String(piece)
    if (text.length > 65_536) break
  }
  try {
    const { error } = JSON.parse(text) as { error: Problem }
    return errorOf({ ...error, message: error.message })
  } catch {
    return new Error(`it answered ${response.statusCode} to a WebSocket`)
  }
}
