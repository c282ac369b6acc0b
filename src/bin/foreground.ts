import { logFile } from '../base/log-file.ts'
import { jsonLog } from '../base/log.ts'
import { realWorld } from '../base/world.ts'
import { reasonOf } from '../model/errors.ts'
import type { ServerSettings } from './server-settings.ts'
import { crashAt } from './crash.ts'
import { serve } from './serving.ts'

/** Serves until a signal: the first ends the server in order, the second at once. */
export async function foreground(settings: ServerSettings): Promise<number> {
  await using stack = new AsyncDisposableStack()
  const sink = settings.logPath === undefined ? undefined : stack.use(logFile(settings.logPath))
  const log = jsonLog((line) => (sink ? sink.write(line) : process.stderr.write(line)), realWorld.now, settings.logLevel)
  const stopped = Promise.withResolvers<number>()
  let signals = 0
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (++signals > 1) process.exit(130)
      log.info('stopping', { signal })
      stopped.resolve(0)
    })
  }
  process.on('SIGHUP', () => undefined) // The terminal it was started from may close.
  process.on('unhandledRejection', (fault) => log.error('a fault nobody caught', { fault: reasonOf(fault), stack: fault instanceof Error ? fault.stack : undefined }))
  const serving = stack.use(await serve(settings, { log, crashPoint: crashAt(process.env['TT_CRASH_AT']) }))
  if (settings.logPath === undefined && process.stderr.isTTY) process.stderr.write(`ttserver answers at ${serving.address}; Ctrl-C stops it, its VMs run on\n`)
  const status = await stopped.promise
  await serving[Symbol.asyncDispose]()
  log.info('stopped')
  return status
}
