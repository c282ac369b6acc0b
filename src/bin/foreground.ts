import { logFile } from '../base/log-file.ts'
import { jsonLog, type Log } from '../base/log.ts'
import { realWorld } from '../base/world.ts'
import { reasonOf } from '../model/errors.ts'
import type { ServerSettings } from './server-settings.ts'
import { crashAt } from './crash.ts'
import { becomeLeashed, ownLeash } from './leash.ts'
import { type ServiceManager, serviceManager } from './systemd.ts'
import { serve, type Serving } from './serving.ts'

/** Serves until a signal: the first ends the server in order, the second at once. */
export async function foreground(settings: ServerSettings, reread: () => ServerSettings): Promise<number> {
  const leash = ownLeash(process.env)
  if (settings.onExit === 'destroy' && !leash) await becomeLeashed(settings, realWorld)
  await using stack = new AsyncDisposableStack()
  const sink = settings.logPath === undefined ? undefined : stack.use(logFile(settings.logPath))
  const log = jsonLog((line) => (sink ? sink.write(line) : process.stderr.write(line)), realWorld.now, settings.logLevel)
  const manager = stack.use(serviceManager({ variables: process.env, world: realWorld, pid: leash?.pid ?? process.pid }))
  const stopped = Promise.withResolvers<number>()
  // Until there is something to read again or to dump. With a listener SIGUSR1 starts no debugger; `--disable-sigusr1` would keep it from us too.
  process.on('SIGHUP', () => undefined).on('SIGUSR1', () => undefined)
  let signals = 0
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (++signals > 1) process.exit(130)
      log.info('stopping', { signal })
      manager.stopping('stopping')
      stopped.resolve(0)
    })
  }
  process.on('unhandledRejection', (fault) => log.error('a fault nobody caught', { fault: reasonOf(fault), stack: fault instanceof Error ? fault.stack : undefined }))
  const serving = stack.use(await serve(settings, { log, reread, crashPoint: crashAt(process.env['TT_CRASH_AT']), leash }))
  if (settings.logPath === undefined && process.stderr.isTTY) process.stderr.write(`ttserver answers at ${serving.address}; Ctrl-C stops it, ${settings.onExit === 'destroy' ? 'and destroys its VMs' : 'its VMs run on'}\n`)
  onSignals(serving, { log, manager, reopenLog: () => sink?.reopen() })
  manager.ready(`answers at ${serving.address}`)
  const status = await stopped.promise
  await serving[Symbol.asyncDispose]()
  log.info('stopped')
  return status
}

/** SIGHUP reads the settings again, and the log file is opened anew for whoever moved it away; SIGUSR1 writes down what the process is doing. */
function onSignals(serving: Serving, { log, manager, reopenLog }: { log: Log; manager: ServiceManager; reopenLog: () => void }): void {
  process.on('SIGHUP', () => {
    reopenLog()
    manager.reloading()
    void serving
      .reload()
      .catch((fault: unknown) => log.error('the settings cannot be read again; those of before hold on', { fault: reasonOf(fault) }))
      .finally(() => manager.reloaded())
  })
  process.on('SIGUSR1', () => {
    try {
      log.info('the state is written', { file: serving.dump() })
    } catch (fault) {
      log.error('the state cannot be written', { fault: reasonOf(fault) })
    }
  })
}
