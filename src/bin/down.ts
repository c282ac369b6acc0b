import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { hasErrno, removeAll } from '../base/files.ts'
import { plainEffects } from '../base/effects.ts'
import { silentLog } from '../base/log.ts'
import { ended, signalProcess } from '../base/processes.ts'
import { realWorld as world } from '../base/world.ts'
import { fail } from '../model/errors.ts'
import { clearMachine } from './clearing.ts'
import { tryDrivers } from './drivers.ts'
import { markOf, placeOf } from './home.ts'
import { driverOptions } from './paths.ts'
import { runningServer } from './running.ts'
import type { ServerSettings } from './server-settings.ts'

/** What a first start makes before it has chosen its place, and so before it makes anything on the machine. */
const beforeDrivers: ReadonlySet<string> = new Set(['server.log', 'store', 'journal.ndjson', 'leash.json'])
const drainLimitMs = 30_000

/** Stops the server; with `destroy` also takes away everything of it on this machine. Nothing there is fine. */
export async function down(settings: ServerSettings, { destroy }: { destroy: boolean }): Promise<number> {
  const place = `${settings.publicAddress}:${settings.port}`
  const server = runningServer(settings.dataDir)
  if (server) {
    const fate = server.onExit === 'destroy' ? 'its VMs are gone' : 'its VMs run on'
    signalProcess(server, 'SIGTERM', plainEffects())
    if (!(await ended(server, drainLimitMs, { world }))) {
      signalProcess(server, 'SIGTERM', plainEffects())
      if (!(await ended(server, 5000, { world }))) fail('timeout', `ttserver (process ${server.pid}) does not stop`, { subject: 'server', remedy: `kill -9 ${server.pid}; then ${fate}` })
    }
    process.stdout.write(`ttserver at ${place} is stopped${destroy ? '' : `; ${fate}`}\n`)
  } else process.stdout.write(`no ttserver runs at ${place}\n`)
  if (destroy) await destroyAll(settings)
  return 0
}

/** With the drivers alone, so that it works whatever became of the store. Each finds its things on the machine by their mark. */
async function destroyAll(settings: ServerSettings): Promise<void> {
  const { dataDir } = settings
  if (!existsSync(dataDir)) {
    process.stdout.write(`there is nothing in ${dataDir}\n`)
    return
  }
  if (!existsSync(`${dataDir}/place.json`)) {
    if (readdirSync(dataDir).every((name) => beforeDrivers.has(name))) removeAll(dataDir)
    else fail('invalid', `${dataDir} is no data directory of a ttserver`, { subject: 'server', remedy: 'nothing was removed; give the right --data-dir' })
    return
  }
  const mark = markOf(settings.address, settings.port, dataDir)
  const place = placeOf(dataDir, mark, settings)
  const home = { dataDir, mark, world, effects: plainEffects(), log: silentLog }
  const drivers = await tryDrivers({ ...settings, options: driverOptions(settings.driverOptions), network: { subnet: place.subnet, bind: '127.0.0.1' } }, home)
  await using _ = drivers
  const vms = await clearMachine(drivers)
  await drivers[Symbol.asyncDispose]()
  const left = emptied(dataDir)
  process.stdout.write(`${vms} VM${vms === 1 ? '' : 's'} destroyed and ${dataDir} ${left ? 'emptied; it is mounted, and stays' : 'removed'}\n`)
}

/** Removes the directory; one that something is mounted on keeps its name, and gives true. */
function emptied(dir: string): boolean {
  try {
    removeAll(dir)
    return false
  } catch (fault) {
    if (!hasErrno(fault, 'EBUSY')) throw fault
    for (const name of readdirSync(dir)) removeAll(join(dir, name))
    return true
  }
}
