import { type Log, silentLog } from '../base/log.ts'
import { realWorld, type World } from '../base/world.ts'
import type { Cloud } from '../model/cloud.ts'
import type { User } from '../model/user.ts'
import { httpCloud } from './client.ts'
import { nodeTransport } from './node-transport.ts'
import { sampleCloud } from './sample-cloud.ts'
import { apiServer } from './server.ts'

export const sampleToken = 'sample-token-0123456789'

/** A server of the sample cloud on a free port of the loopback, and a client of it; for the tests of this room. */
export async function sampleServer(options: { cloud?: Cloud; cloudFor?: (user: User) => Cloud; world?: World; log?: Log; drainMs?: number } = {}) {
  const { cloud = sampleCloud(), world = realWorld, log = silentLog, drainMs = 200 } = options
  await using building = new AsyncDisposableStack()
  const server = building.use(
    apiServer({ cloudFor: options.cloudFor ?? (() => cloud), authenticate: (token) => (token === sampleToken ? { user: { name: 'ann', role: 'admin' } } : undefined), world, log, drainMs }),
  )
  await server.listen('127.0.0.1', 0)
  const port = server.address?.port ?? 0
  const url = `http://127.0.0.1:${port}`
  const transport = building.use(nodeTransport())
  const stack = building.move()
  return { server, port, url, cloud, transport, remote: httpCloud(url, { token: sampleToken, world, ...transport }), [Symbol.asyncDispose]: () => stack.disposeAsync() }
}
