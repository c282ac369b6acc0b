import { realWorld, wakefulness } from '../base/world.ts'
import { main } from '../cli/main.ts'
import { clientFiles } from './client-files.ts'
import { clientStreams } from './client-streams.ts'
import { leaveWithoutWaiting } from './leaving.ts'

const interrupted = new AbortController()
for (const [signal, status] of [['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]] as const) {
  process.on(signal, () => {
    if (interrupted.signal.aborted) process.exit(status)
    interrupted.abort()
  })
}

using _ = wakefulness()
leaveWithoutWaiting()
const status = await main({
  args: process.argv.slice(2),
  ...clientStreams(process.env),
  ...clientFiles(process.env),
  variables: process.env,
  doors: async () => (await import('./local-doors.ts')).localDoors,
  files: async () => (await import('./local-files.ts')).localFiles,
  fetchText: async (...asked) => (await import('./fetching.ts')).fetchText(...asked),
  world: realWorld,
  signal: interrupted.signal,
  version: async () => (await import('./version.ts')).version,
  connect: async (...asked) => (await import('./reaching.ts')).connect(...asked),
  shown: async (...asked) => (await import('./reaching.ts')).shown(...asked),
})
// Kept connections would hold the process for seconds; all that was written has gone out.
process.exit(status)
