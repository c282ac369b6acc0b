import { TtError } from '../../model/errors.ts'

/** What can be wrong between a client and its server, in words a user can act on. */

const about = (place: string) => ({ subject: `server/${place}`, remedy: 'see whether a `ttserver` runs there, and the address with `tt config`' })

/** No answer came at all. */
export function unreachable(fault: unknown, place: string): TtError {
  return new TtError({ code: 'unavailable', message: `no tt server answers at ${place}: ${reasonOf(fault)}`, ...about(place) }, fault)
}

/** Something answered, and it is not a tt server. */
export const foreign = (place: string, why: string): TtError => new TtError({ code: 'unavailable', message: `what answers at ${place} is not a tt server: ${why}`, ...about(place) })

/** It may answer yet, but nobody waits any more. */
export const late = (place: string, ms: number): TtError => new TtError({ code: 'timeout', message: `${place} did not answer within ${ms / 1000} s`, subject: `server/${place}`, remedy: 'see whether the server is alive and the address is right' })

/** The answer had begun. */
export const lost = (place: string, why: string, fault?: unknown): TtError =>
  new TtError({ code: 'unavailable', message: `the connection to ${place} was lost: ${why}`, subject: `server/${place}`, remedy: 'see whether the server is alive, and try again' }, fault)

/** It has another key than it had: another server, or one in between. */
export const changedKey = (place: string, { pinned, seen }: { pinned: string; seen: string }): TtError =>
  new TtError({
    code: 'denied',
    message: `the server at ${place} has another key than is known of it: ${seen}, and not ${pinned}; nothing was sent to it`,
    subject: `server/${place}`,
    remedy: 'somebody may be in between. If its operator says that the key has changed, save the new fingerprint: `tt config --server-addr HOST --server-port PORT --tls --fingerprint FINGERPRINT`',
  })

/** Its certificate is signed by nobody this machine knows, and its key is not known either. */
export const untrusted = (place: string, { seen, why }: { seen: string; why: string }): TtError =>
  new TtError({
    code: 'denied',
    message: `the certificate of ${place} is not trusted (${why}), and its key ${seen} is not known here; nothing was sent to it`,
    subject: `server/${place}`,
    remedy: 'compare that fingerprint with what `ttserver settings` says on its machine, then save it: `tt config --server-addr HOST --server-port PORT --tls --fingerprint FINGERPRINT`',
  })

/** It is asked by TLS and does not speak it. */
const noTls = 'this server speaks no TLS: use http:// or start it with --tls own'

const reasons: Record<string, string> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was closed without an answer',
  EPIPE: 'the connection was closed without an answer',
  ENOTFOUND: 'the host name is not known',
  EAI_AGAIN: 'the host name cannot be resolved now',
  EHOSTUNREACH: 'there is no way to that host',
  ENETUNREACH: 'there is no way to that network',
  ETIMEDOUT: 'the host does not answer',
  EPROTO: noTls,
  ERR_SSL_WRONG_VERSION_NUMBER: noTls,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: noTls,
}

/** Both Node's and `fetch`'s errors carry a code, some of them one level down. */
function reasonOf(fault: unknown): string {
  const { code, cause, message } = fault as { code?: unknown; cause?: unknown; message?: unknown }
  const name = typeof code === 'string' ? code : ((cause as { code?: unknown } | undefined)?.code ?? '')
  if (typeof name !== 'string') return 'the connection failed'
  if (name.startsWith('HPE_')) return 'it does not speak HTTP; perhaps it wants https'
  if (/CERT|SELF_SIGNED|ERR_TLS|UNABLE_TO/.test(name)) return 'its certificate is not trusted'
  return reasons[name] ?? (typeof message === 'string' && message !== '' ? message.slice(0, 200) : 'the connection failed')
}
