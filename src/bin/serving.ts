import { statfsSync } from 'node:fs'
import { availableParallelism, totalmem } from 'node:os'
import { join } from 'node:path'
import { apiServer } from '../api/server.ts'
import { type CrashPoint, journaledEffects } from '../base/effects.ts'
import { readTextNow, removeAll, writeWhole } from '../base/files.ts'
import type { Log } from '../base/log.ts'
import { realWorld } from '../base/world.ts'
import { cluster } from '../cloud/cluster.ts'
import { guard } from '../cloud/guard.ts'
import { channels as channelRegistry } from '../drivers/channel/index.ts'
import { runHost } from '../host/host.ts'
import type { Demand } from '../model/expand.ts'
import { stores } from '../store/index.ts'
import { tryDrivers, ownNames } from './drivers.ts'
import { adminToken, makeDataDir, markOf, placeOf, tokenCheck, uidOf } from './home.ts'
import { cacheDir, driverOptions, recipesDir } from './paths.ts'
import type { ServerSettings } from './server-settings.ts'
import { version } from './version.ts'

export interface Serving extends AsyncDisposable {
  /** `host:port`, as bound. */
  address: string
  dataDir: string
}

/** A whole server, from top to bottom; disposing it stops it in the opposite order and leaves the VMs running. */
export async function serve(settings: ServerSettings, { log, crashPoint }: { log: Log; crashPoint?: CrashPoint }): Promise<Serving> {
  await using building = new AsyncDisposableStack()
  const world = realWorld
  const dataDir = makeDataDir(settings.dataDir)
  const mark = markOf(settings.address, settings.port, dataDir)
  const effects = building.use(journaledEffects(join(dataDir, 'journal.ndjson'), world.now, crashPoint))
  const store = building.use(await stores[settings.store]({ dir: join(dataDir, 'store'), world, log }))
  const place = placeOf(dataDir, mark, settings)
  const token = adminToken(dataDir, world)
  const drivers = building.use(
    await tryDrivers(
      { ...settings, options: driverOptions(settings.driverOptions), network: { subnet: place.subnet, bind: settings.address } },
      { dataDir, mark, world, effects, log },
    ),
  )
  const channels = Object.fromEntries(await Promise.all(Object.entries(channelRegistry).map(async ([name, load]) => [name, await load()] as const)))
  const total = totals(settings, dataDir, log)
  const host = building.use(
    await runHost({
      ...place,
      address: `${settings.publicAddress}:${settings.port}`,
      version,
      store,
      world,
      effects,
      log,
      ...drivers,
      channels,
      total,
      images: { dirs: settings.imagePaths, cacheDir: cacheDir(process.env), ...(recipesDir() === undefined ? {} : { recipesDir: recipesDir() }) },
      dataDir,
      expected: ownNames,
      uidOf,
      boot: readTextNow('/proc/sys/kernel/random/boot_id')?.trim() ?? 'unknown',
    }),
  )
  const cloud = building.use(await cluster({ store, world, log, version, limits: settings.limits, peer: (name) => (name === place.name ? host.peer : undefined) }))
  const isAdmin = tokenCheck(token)
  const api = building.use(
    apiServer({
      cloudFor: (user) => guard(cloud, user),
      authenticate: (given) => (isAdmin(given) ? { name: 'admin', role: 'admin' } : undefined),
      world,
      log,
    }),
  )
  await api.listen(settings.address, settings.port)
  const state = join(dataDir, 'server.json')
  writeWhole(state, `${JSON.stringify({ pid: process.pid, address: settings.address, port: settings.port, version })}\n`)
  building.defer(() => removeAll(state))
  log.info('serving', { address: settings.address, port: settings.port, dataDir, mark, ...place, engines: [...drivers.engines.keys()], volume: drivers.volume.name, network: drivers.network.name, total })
  const stack = building.move()
  return { address: `${settings.address}:${settings.port}`, dataDir, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

/** VMs may ask for this many times the machine's processors together: they are rarely all busy. */
const cpuFactor = 8

/** What this host offers: what was given, exactly, else what the machine has. */
function totals(settings: ServerSettings, dataDir: string, log: Log): Demand {
  const { blocks, bsize } = statfsSync(dataDir)
  const has = { cpu: availableParallelism() * cpuFactor, memMb: Math.floor(totalmem() / 2 ** 20), diskMb: Math.floor((blocks * bsize) / 2 ** 20) }
  const warn = (what: string, given: number | undefined, machine: number) => {
    if (given !== undefined && given > machine) log.warn(`more ${what} is offered than the machine has`, { offered: given, machine })
  }
  warn('cpu', settings.cpuTotal, has.cpu)
  warn('memory', settings.memTotal, has.memMb)
  warn('disk', settings.diskTotal, has.diskMb)
  return { cpu: settings.cpuTotal ?? has.cpu, memMb: settings.memTotal ?? has.memMb, diskMb: settings.diskTotal ?? has.diskMb, vms: settings.vmsMax }
}
