import { realWorld, wakefulness } from '../base/world.ts'
import { main } from '../cli/main.ts'
import { clientFiles } from './client-files.ts'
import { clientStreams } from './client-streams.ts'

const interrupted = new AbortController()
for (const [signal, status] of [['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]] as const) {
  process.on(signal, () => {
    if (interrupted.signal.aborted) process.exit(status)
    interrupted.abort()
  })
}

using _ = wakefulness()
const status = await main({
  args: process.argv.slice(2),
  ...clientStreams(process.env),
  ...clientFiles(process.env),
  variables: process.env,
  world: realWorld,
  signal: interrupted.signal,
  version: async () => (await import('./version.ts')).version,
  async connect(server, token) {
    const [{ httpCloud }, { nodeTransport }, { endpointText }] = await Promise.all([import('../api/client.ts'), import('../api/node-transport.ts'), import('../base/endpoint.ts')])
    return { cloud: httpCloud(`http://${endpointText(server)}`, { token, world: realWorld, ...nodeTransport() }) }
  },
})
// Kept connections would hold the process for seconds; all that was written has gone out.
process.exit(status)
