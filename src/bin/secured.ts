import type { ApiServer } from '../api/server.ts'
import type { Log } from '../base/log.ts'
import type { World } from '../base/world.ts'
import { asTtError, reasonOf } from '../model/errors.ts'
import { type Certificate, certificateFor } from './certificates.ts'
import type { ServerSettings } from './server-settings.ts'

type Settings = Pick<ServerSettings, 'tls' | 'dataDir' | 'address' | 'publicAddress'>

/** How often a certificate is looked at: one of its own is made anew before it ends, a given one is read again. */
const lookMs = 6 * 3_600_000
const warnBeforeMs = 14 * 86_400_000

/** Keeps the certificate of a server fresh, and looks at once on SIGHUP. One that cannot be read is said in the log; the last good one stays. */
export function keptFresh(api: ApiServer, first: Certificate, { settings, world, log }: { settings: Settings; world: World; log: Log }): Disposable {
  let current = first
  let stop = () => undefined as void
  const look = () => {
    try {
      const found = certificateFor(settings, world)
      if (found && found.cert !== current.cert) {
        api.secure(found)
        log.info('another certificate is shown from now on', { fingerprint: found.fingerprint, ends: new Date(found.ends).toISOString() })
        current = found
      }
      const left = current.ends - world.now()
      if (left < warnBeforeMs) log.warn(left < 0 ? 'the certificate has ended' : 'the certificate ends soon', { ends: new Date(current.ends).toISOString(), remedy: 'put a new one in its place; it is read within hours, or at once on SIGHUP' })
    } catch (fault) {
      log.error('the certificate cannot be read; the last one is shown on', { fault: reasonOf(fault), remedy: asTtError(fault).remedy })
    }
  }
  const turn = () => {
    look()
    stop = world.after(lookMs, turn)
  }
  turn()
  process.on('SIGHUP', look)
  return {
    [Symbol.dispose]() {
      process.off('SIGHUP', look)
      stop()
    },
  }
}

/** Says what is risky about how a server listens. */
export function warnOfOpenEars({ tls, address }: { tls: { mode: Settings['tls']['mode'] }; address: string }, log: Log): void {
  if (tls.mode !== 'off' || /^127(\.\d{1,3}){3}$|^::1$|^localhost$/.test(address)) return
  log.warn('the API is open to the network without TLS: tokens and all else can be read on the way', { address, remedy: 'start it with TLS (--tls own, or --tls-cert and --tls-key), or listen on 127.0.0.1' })
}
