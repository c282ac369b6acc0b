import { join } from 'node:path'
import type { Log } from '../base/log.ts'
import type { ProcessId } from '../base/processes.ts'
import type { World } from '../base/world.ts'
import { asTtError, reasonOf } from '../model/errors.ts'
import { stores } from '../store/index.ts'
import type { Store } from '../store/store.ts'
import { clearMachine, forgetEnvs } from './clearing.ts'
import type { Drivers } from './drivers.ts'
import { forgetLeash, noteLeash, wasLeashed } from './leash.ts'
import type { ServerSettings } from './server-settings.ts'

/** How one life of a server follows another: what `--on-exit` says about the ENVs of the last. */

const dyingMs = 10_000

/** The store of this server. One that was killed on its leash may hold it for a moment more. */
export async function openStore(settings: ServerSettings, { world, log }: { world: World; log: Log }): Promise<Store> {
  const end = world.ticks() + (wasLeashed(settings.dataDir) ? dyingMs : 0)
  for (;;) {
    try {
      return await stores[settings.store]({ dir: join(settings.dataDir, 'store'), world, log })
    } catch (thrown) {
      if (asTtError(thrown).code !== 'conflict' || world.ticks() >= end) throw thrown
      await world.sleep(50)
    }
  }
}

/** ENVs of a life on a leash ended with it: they are taken off the record and named, not started again as if nothing had been lost. */
export async function settleLastLife({ settings, store, world, log, leash }: { settings: ServerSettings; store: Store; world: World; log: Log; leash?: ProcessId }): Promise<void> {
  const { dataDir, onExit } = settings
  if (wasLeashed(dataDir)) {
    const envs = await forgetEnvs(store, world)
    if (envs.length > 0) log.warn('the last life of this server was to destroy its VMs at its end: these ENVs are gone', { envs })
  }
  if (onExit === 'destroy') noteLeash(dataDir, leash)
  else forgetLeash(dataDir)
}

/** The orderly end of a life that leaves nothing. What fails here is taken away at the next start. */
export async function endAll({ dataDir, store, drivers, world, log }: { dataDir: string; store: Store; drivers: Drivers; world: World; log: Log }): Promise<void> {
  try {
    const vms = await clearMachine(drivers)
    const envs = await forgetEnvs(store, world)
    forgetLeash(dataDir)
    log.info('everything was destroyed, as --on-exit says', { vms, envs })
  } catch (fault) {
    log.error('not everything could be destroyed; the next start goes on with it', { fault: reasonOf(fault) })
  }
}
