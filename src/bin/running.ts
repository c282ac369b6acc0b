import { join } from 'node:path'
import { httpCloud } from '../api/client.ts'
import { nodeTransport } from '../api/node-transport.ts'
import { endpointUrl } from '../base/endpoint.ts'
import { readTextNow } from '../base/files.ts'
import { argvOf, type ProcessId, processOf } from '../base/processes.ts'
import type { Cloud } from '../model/cloud.ts'
import { fingerprintFor } from './certificates.ts'
import type { ServerSettings } from './server-settings.ts'

/** What a server says of itself while it serves, in `server.json`; the process is the one its operator knows, the leash where there is one. */
export interface RunningServer extends ProcessId {
  address: string
  port: number
  version: string
  onExit: 'keep' | 'destroy'
  /** Of its key; without one it speaks no TLS. */
  fingerprint?: string
}

/** The server with this data directory, if its process lives. */
export function runningServer(dataDir: string): RunningServer | undefined {
  const text = readTextNow(join(dataDir, 'server.json'))
  if (text === undefined) return undefined
  try {
    const server = JSON.parse(text) as RunningServer
    // A process id alone may be another's by now. Older servers did not tell their start time.
    const found = processOf(server.pid)
    if (!found || (server.startTime ?? found.startTime) !== found.startTime) return undefined
    return argvOf(server.pid)?.some((argument) => argument.includes('ttserver')) ? { ...server, ...found } : undefined
  } catch {
    return undefined
  }
}

/** The Cloud of the server that these settings describe, as its admin; undefined before it has ever run. */
export function ownCloud(settings: ServerSettings): ({ cloud: Cloud } & Disposable) | undefined {
  const token = readTextNow(join(settings.dataDir, 'token'))?.trim()
  if (token === undefined) return undefined
  const running = runningServer(settings.dataDir)
  const fingerprint = running ? running.fingerprint : fingerprintFor(settings)
  const transport = nodeTransport({ fingerprint })
  const host = ['0.0.0.0', '::'].includes(settings.address) ? '127.0.0.1' : settings.address
  const url = endpointUrl({ host, port: settings.port, tls: fingerprint !== undefined })
  return { cloud: httpCloud(url, { token, ...transport }), [Symbol.dispose]: () => transport[Symbol.dispose]() }
}
