import { join } from 'node:path'
import { readTextNow } from '../base/files.ts'
import type { ServerSettings } from './server-settings.ts'

/** The certificate that the API of these settings shows, in PEM, as it lies on the disk now; undefined without TLS. */
export function shownCertificate({ tls, dataDir }: Pick<ServerSettings, 'tls' | 'dataDir'>): string | undefined {
  const path = tls.mode === 'given' ? tls.certPath : tls.mode === 'own' ? join(dataDir, 'tls', 'cert.pem') : undefined
  return path === undefined ? undefined : readTextNow(path)
}
