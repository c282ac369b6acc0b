import type { Duplex } from 'node:stream'
import { errorCodes, type Problem } from '../model/errors.ts'
import { envelope } from './sending.ts'

/** Answers a connection whose request could not be read at all, and closes it. */
export function sendRefusal(fault: NodeJS.ErrnoException, socket: Duplex): void {
  // HPE_…: https://nodejs.org/api/http.html#event-clienterror
  if (fault.code === 'HPE_HEADER_OVERFLOW') return answerRaw(socket, { code: 'too_large', message: 'the head of the request is too large' }, 431)
  if (fault.code === 'ERR_HTTP_REQUEST_TIMEOUT') return answerRaw(socket, { code: 'timeout', message: 'the request did not arrive in time' }, 408)
  answerRaw(socket, { code: 'invalid', message: 'this is not a request in HTTP/1.1' })
}

/** A whole answer on a bare socket: there is no response object for a failed upgrade or a broken request. */
export function answerRaw(socket: Duplex, problem: Problem, status: number = errorCodes[problem.code].http): void {
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const body = `${JSON.stringify(envelope(problem))}\n`
  const reason = process.getBuiltinModule('node:http').STATUS_CODES[status] ?? 'Refused'
  const head = [`HTTP/1.1 ${status} ${reason}`, 'content-type: application/json', `content-length: ${Buffer.byteLength(body)}`, 'connection: close']
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy())
}
