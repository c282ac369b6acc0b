import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { plainEffects } from '../base/effects.ts'
import { silentLog } from '../base/log.ts'
import { realWorld as world } from '../base/world.ts'
import { findLeaks } from '../host/leaks.ts'
import { hostViews } from '../host/views.ts'
import { fail } from '../model/errors.ts'
import type { Leak } from '../model/session.ts'
import { stores } from '../store/index.ts'
import { ownNames, tryDrivers } from './drivers.ts'
import { markOf, placeOf, uidOf } from './home.ts'
import { driverOptions } from './paths.ts'
import { runningServer } from './running.ts'
import type { ServerSettings } from './server-settings.ts'

/** The status of a search that found something. */
export const leaksFoundExit = 3

/** Looks for leaks while the server is stopped: the same search as a running server's, over the same records. */
export async function doctor(settings: ServerSettings, { json }: { json: boolean }): Promise<number> {
  const { dataDir } = settings
  const running = runningServer(dataDir)
  if (running) fail('conflict', `ttserver runs (process ${running.pid})`, { subject: 'server', remedy: 'ask it with `tt doctor`' })
  if (!existsSync(join(dataDir, 'place.json'))) fail('not_found', `${dataDir} is no data directory of a ttserver`, { subject: 'server', remedy: 'give --data-dir, or --serv-addr and --serv-port' })
  const leaks = await find(settings)
  if (json) process.stdout.write(`${JSON.stringify({ leaks })}\n`)
  else if (leaks.length === 0) process.stdout.write('nothing is left behind\n')
  else process.stdout.write(leaks.map(({ kind, subject, why }) => `${kind.padEnd(8)} ${subject}: ${why}\n`).join(''))
  return leaks.length > 0 ? leaksFoundExit : 0
}

async function find(settings: ServerSettings): Promise<Leak[]> {
  const { dataDir } = settings
  await using stack = new AsyncDisposableStack()
  const store = stack.use(await stores.sqlite({ dir: join(dataDir, 'store'), world, log: silentLog }))
  const mark = markOf(settings.address, settings.port, dataDir)
  const place = placeOf(dataDir, mark, settings)
  const home = { dataDir, mark, world, effects: plainEffects(), log: silentLog }
  const drivers = stack.use(await tryDrivers({ ...settings, options: driverOptions(settings.driverOptions), network: { subnet: place.subnet, bind: '127.0.0.1' } }, home))
  const views = stack.use(await hostViews(store, { world, log: silentLog }))
  const engines = new Map([...drivers.engines].map(([name, { engine }]) => [name, engine]))
  return findLeaks({ name: place.name, views, engines, volume: drivers.volume.driver, network: drivers.network.driver, dataDir, expected: ownNames, uidOf })
}
