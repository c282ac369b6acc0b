import type { IncomingHttpHeaders } from 'node:http'
import { connect } from 'node:net'
import { sampleToken } from './sample-server.ts'

export interface SampleAnswer {
  status: number
  headers: IncomingHttpHeaders
  text: string
  /** The body as JSON. */
  json<T = Record<string, unknown>>(): T
}

/** One request as a person with curl would send it: the path goes out as it is. */
export function ask(port: number, method: string, path: string, { headers = {}, body, token = sampleToken }: { headers?: Record<string, string | string[]>; body?: unknown; token?: string } = {}): Promise<SampleAnswer> {
  const text = typeof body === 'string' || body === undefined ? body : JSON.stringify(body)
  const authorization: Record<string, string> = token === '' ? {} : { authorization: `Bearer ${token}` }
  return new Promise((resolve, reject) => {
    const request = process.getBuiltinModule('node:http').request({ host: '127.0.0.1', port, method, path, agent: false, headers: { ...authorization, ...headers } }, (response) => {
      let answer = ''
      response.setEncoding('utf8')
      response.on('data', (piece: string) => (answer += piece))
      response.on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text: answer, json: <T>() => JSON.parse(answer) as T }))
    })
    request.on('error', reject)
    request.end(text)
  })
}

/** Bytes on a bare connection, and all that comes back until the server closes it. */
export function raw(port: number, bytes: string | Uint8Array, { half = false }: { half?: boolean } = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: half })
    let heard = ''
    socket.on('data', (piece) => (heard += piece.toString('latin1')))
    socket.on('error', (fault: NodeJS.ErrnoException) => (fault.code === 'ECONNRESET' ? resolve(heard) : reject(fault)))
    socket.on('end', () => socket.destroy())
    socket.on('close', () => resolve(heard))
    socket.write(bytes)
    if (half) socket.end()
  })
}
