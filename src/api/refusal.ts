import type { Duplex } from 'node:stream'
import { errorCodes, type Problem } from '../model/errors.ts'
import { envelope } from './sending.ts'

/** No limit is below one request a second, so whoever waits this long is heard. */
export const retryAfterSeconds = 1

/** Answers a connection whose request could not be read at all, and closes it. */
export function sendRefusal(fault: NodeJS.ErrnoException, socket: Duplex): void {
  // HPE_…: https://nodejs.org/api/http.html#event-clienterror
  if (fault.code === 'HPE_HEADER_OVERFLOW') return answerRaw(socket, { code: 'too_large', message: 'the head of the request is too large' }, 431)
  if (fault.code === 'ERR_HTTP_REQUEST_TIMEOUT') return answerRaw(socket, { code: 'timeout', message: 'the request did not arrive in time' }, 408)
  answerRaw(socket, { code: 'invalid', message: 'this is not a request in HTTP/1.1' })
}

/** Answers, without TLS, a client that speaks HTTP where TLS is spoken; any other that fails to shake hands is told by TLS itself. */
export function refuseHandshake(fault: NodeJS.ErrnoException, bare: Duplex): void {
  if (fault.code !== 'ERR_SSL_HTTP_REQUEST') return void bare.destroy()
  answerRaw(bare, { code: 'invalid', message: 'this server speaks TLS only', remedy: 'use https://' })
}

/** A whole answer on a bare socket: there is no response object for a failed upgrade or a broken request. */
export function answerRaw(socket: Duplex, problem: Problem, status: number = errorCodes[problem.code].http): void {
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const body = `${JSON.stringify(envelope(problem))}\n`
  const reason = process.getBuiltinModule('node:http').STATUS_CODES[status] ?? 'Refused'
  const head = [`HTTP/1.1 ${status} ${reason}`, 'content-type: application/json', `content-length: ${Buffer.byteLength(body)}`, 'connection: close', ...(problem.code === 'limited' ? [`retry-after: ${retryAfterSeconds}`] : [])]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
}
