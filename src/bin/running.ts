import { join } from 'node:path'
import { httpCloud } from '../api/client.ts'
import { nodeTransport } from '../api/node-transport.ts'
import { endpointText } from '../base/endpoint.ts'
import { readTextNow } from '../base/files.ts'
import type { Cloud } from '../model/cloud.ts'
import type { ServerSettings } from './server-settings.ts'

/** What a server says of itself while it serves, in `server.json`. */
export interface RunningServer {
  pid: number
  address: string
  port: number
  version: string
}

/** The server with this data directory, if its process lives. */
export function runningServer(dataDir: string): RunningServer | undefined {
  const text = readTextNow(join(dataDir, 'server.json'))
  if (text === undefined) return undefined
  try {
    const server = JSON.parse(text) as RunningServer
    return isServer(server.pid) ? server : undefined
  } catch {
    return undefined
  }
}

/** Whether the process lives and is a server: a process id alone may be another's by now. */
export function isServer(pid: number): boolean {
  const state = readTextNow(`/proc/${pid}/stat`)?.replace(/^.*\) /s, '')[0]
  return state !== undefined && state !== 'Z' && (readTextNow(`/proc/${pid}/cmdline`) ?? '').includes('ttserver')
}

/** The Cloud of the server that these settings describe, as its admin; undefined before it has ever run. */
export function ownCloud(settings: ServerSettings): ({ cloud: Cloud } & Disposable) | undefined {
  const token = readTextNow(join(settings.dataDir, 'token'))?.trim()
  if (token === undefined) return undefined
  const transport = nodeTransport()
  const host = ['0.0.0.0', '::'].includes(settings.address) ? '127.0.0.1' : settings.address
  return { cloud: httpCloud(`http://${endpointText({ host, port: settings.port })}`, { token, ...transport }), [Symbol.dispose]: () => transport[Symbol.dispose]() }
}
