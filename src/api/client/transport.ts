import { fail } from '../../model/errors.ts'
import { tokenProtocolOf } from '../protocol.ts'
import type { Wire } from '../wire.ts'

/** How requests travel. Rejects when no answer comes; redirects are answers. Aborting the signal ends the answer's body too. */
export type Transport = (method: string, url: string, options: { headers: Record<string, string>; body?: string; signal: AbortSignal }) => Promise<TransportAnswer>

export interface TransportAnswer {
  status: number
  header(name: string): string | undefined
  body: AsyncIterable<Uint8Array>
}

/** Opens a WebSocket and resolves when it is open. */
export type OpenSocket = (url: string, options: { token: string; signal: AbortSignal }) => Promise<Wire>

/** What browsers have. Where there is Node, `node-transport.ts` is twice as fast. */
export const fetchTransport: Transport = async (method, url, { headers, body, signal }) => {
  // The URL standard would take such names for directions, and the request would go elsewhere.
  if (/\/(\.|%2e){1,2}(?=[/?]|$)/i.test(url)) fail('invalid', 'a name of dots alone cannot be asked for', { subject: url })
  const request: RequestInit = { method, headers, body, signal, redirect: 'manual', cache: 'no-store', credentials: 'omit' }
  const response = await fetch(url, request)
  return { status: response.status, header: (name) => response.headers.get(name) ?? undefined, body: piecesOf(response.body) }
}

async function* piecesOf(body: ReadableStream<Uint8Array> | null): AsyncGenerator<Uint8Array> {
  const reader = body?.getReader()
  if (!reader) return
  try {
    for (let step = await reader.read(); !step.done; step = await reader.read()) yield step.value
  } finally {
    reader.releaseLock()
  }
}

/** A browser cannot say why a WebSocket was refused, nor set a header on it: the token goes as a protocol. */
export const browserSocket: OpenSocket = (url, { token, signal }) =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(url, tokenProtocolOf(token))
    socket.binaryType = 'arraybuffer'
    socket.addEventListener('open', () => resolve(socket as unknown as Wire), { once: true })
    socket.addEventListener('error', () => reject(new Error('the WebSocket was refused')), { once: true })
    signal.addEventListener('abort', () => socket.close(), { once: true })
  })
