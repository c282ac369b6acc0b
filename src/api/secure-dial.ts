import type { ClientRequestArgs } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { endpointText } from '../base/endpoint.ts'
import { fingerprintOf } from '../base/fingerprint.ts'
import { changedKey, untrusted } from './client/faults.ts'

/** Connects to a server by TLS, as Node's `createConnection` does: the connection is handed over only when it is known whose it is. */
export type SecureDial = (options: ClientRequestArgs & { giveUp?: AbortSignal }, done: (fault: Error | null, socket?: TLSSocket) => void) => undefined

/**
 * With a fingerprint the key of the server is compared with it, and nothing else counts; without one its certificate must be signed by an authority this
 * machine trusts and be for this name. Not a byte of a request, and so no token, goes out before.
 */
export function secureDial(fingerprint?: string): SecureDial {
  return (options, done) => {
    const { host = '', port, giveUp } = options
    const target = { host: String(host), port: Number(port ?? 443) }
    const socket = tls().connect({ ...target, ...serverName(target.host), rejectUnauthorized: false, minVersion: 'TLSv1.2', ALPNProtocols: ['http/1.1'] })
    const settle = (fault: Error | null) => {
      socket.off('error', settle).off('close', closed)
      giveUp?.removeEventListener('abort', stop)
      if (fault) socket.on('error', () => undefined).destroy()
      done(fault, fault ? undefined : socket)
    }
    const closed = () => settle(Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' }))
    const stop = () => settle(new Error('the request was aborted'))
    socket.setNoDelay(true)
    socket.once('error', settle).once('close', closed)
    giveUp?.addEventListener('abort', stop, { once: true })
    socket.once('secureConnect', () => settle(wrongWith(socket, endpointText(target), fingerprint)))
    return undefined
  }
}

/** What a server shows of itself, without asking it anything. */
export interface Shown {
  fingerprint: string
  /** Why this machine does not trust its certificate; undefined if it does. */
  untrusted?: string
}

/** Looks whom a server says it is: connects, and closes again. */
export function shownBy({ host, port }: { host: string; port: number }, signal: AbortSignal): Promise<Shown> {
  return new Promise((resolve, reject) => {
    const socket = tls().connect({ host, port, ...serverName(host), rejectUnauthorized: false, minVersion: 'TLSv1.2' })
    const stop = () => socket.destroy(signal.reason as Error)
    signal.addEventListener('abort', stop, { once: true })
    socket.once('close', () => {
      signal.removeEventListener('abort', stop)
      reject(Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' }))
    })
    socket.on('error', reject)
    socket.once('secureConnect', () => {
      resolve({ fingerprint: keyOf(socket), ...(socket.authorized ? {} : { untrusted: reasonOf(socket) }) })
      socket.destroy()
    })
  })
}

function wrongWith(socket: TLSSocket, place: string, pinned?: string): Error | null {
  const seen = keyOf(socket)
  if (pinned !== undefined) return seen === pinned ? null : changedKey(place, { pinned, seen })
  return socket.authorized ? null : untrusted(place, { seen, why: reasonOf(socket) })
}

function keyOf(socket: TLSSocket): string {
  const certificate = socket.getPeerX509Certificate()
  return certificate ? fingerprintOf(certificate.publicKey.export({ type: 'spki', format: 'der' })) : 'none'
}

/** The type says Error; it is the code. */
const reasonOf = ({ authorizationError }: TLSSocket) => String(authorizationError).toLowerCase().replaceAll('_', ' ').replace(/^.*(does not match|altname|altnames).*$/, 'it is for another name')

/** A name goes with the greeting, an address may not (RFC 6066). */
const serverName = (host: string) => (/^[\d.]+$/.test(host) || host.includes(':') ? {} : { servername: host })

const tls = () => process.getBuiltinModule('node:tls')
