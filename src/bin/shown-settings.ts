import { settingRows } from '../base/settings.ts'
import { fingerprintFor } from './certificates.ts'
import { runningServer } from './running.ts'
import { type ServerSettings, serverSchema } from './server-settings.ts'

/** Every setting with its value and origin, and the fingerprint that clients of the server pin: of the one that runs, or of the one these settings would show. */
export function shownSettings(settings: ServerSettings, { json }: { json: boolean }): string {
  const rows = settingRows(serverSchema, settings.settled)
  const running = runningServer(settings.dataDir)
  const fingerprint = running ? running.fingerprint : fingerprintFor(settings)
  if (json) return `${JSON.stringify({ settings: rows, fingerprint: fingerprint ?? null })}\n`
  const lines = rows.map(({ key, value, origin }) => [key, value, origin])
  if (fingerprint !== undefined) lines.push(['fingerprint', fingerprint, running ? 'the server that runs' : 'its certificate'])
  return lines.map(([key = '', value = '', origin = '']) => `${key.padEnd(14)} ${(value || '-').padEnd(28)} ${origin}\n`).join('')
}
