import { statfsSync } from 'node:fs'
import { availableParallelism, totalmem } from 'node:os'
import { join } from 'node:path'
import { apiServer, checkListening } from '../api/server.ts'
import { type CrashPoint, journaledEffects } from '../base/effects.ts'
import { readTextNow, removeAll, writeWhole } from '../base/files.ts'
import { lag } from '../base/lag.ts'
import type { Log, RootLog } from '../base/log.ts'
import { type ProcessId, processOf } from '../base/processes.ts'
import { realWorld } from '../base/world.ts'
import { audit } from '../cloud/audit.ts'
import { auditTrail } from '../cloud/audit-trail.ts'
import { cluster } from '../cloud/cluster.ts'
import { guard } from '../cloud/guard.ts'
import { builtInUser } from '../cloud/token-meaning.ts'
import type { ChannelFactory } from '../drivers/channel/channel.ts'
import { channels as channelRegistry } from '../drivers/channel/index.ts'
import { type Host, runHost } from '../host/host.ts'
import { reasonOf } from '../model/errors.ts'
import type { Demand } from '../model/expand.ts'
import type { UnusableFact } from '../model/host.ts'
import { whyNotRecord } from '../model/record-checks.ts'
import { bringUp } from '../store/data-version.ts'
import { metered } from '../store/metered.ts'
import { soundStore } from '../store/sound.ts'
import { certificateFor } from './certificates.ts'
import { countedCommits } from './crash.ts'
import { auditFiles } from './audit-files.ts'
import { tryDrivers, ownNames } from './drivers.ts'
import { writeDump } from './dump.ts'
import { endAll, openStore, settleLastLife } from './lives.ts'
import { adminToken, clashingSubnets, makeDataDir, markOf, placeOf, tokenCheck, uidOf } from './home.ts'
import { cacheDir, driverOptions, recipesDir } from './paths.ts'
import { serverMeters } from './meters.ts'
import { liveSettings, type Reloaded } from './reloading.ts'
import type { RunningServer } from './running.ts'
import { keptFresh, warnOfOpenEars } from './secured.ts'
import type { ServerSettings } from './server-settings.ts'
import { shownCertificate } from './shown-certificate.ts'
import { version } from './version.ts'

export interface Serving extends AsyncDisposable {
  /** `host:port`, as bound. */
  address: string
  dataDir: string
  /** Reads the settings again and takes over what can change in life. No VM is touched. */
  reload(): Promise<Reloaded>
  /** Writes what the process is doing to a file in the data directory; gives its path. */
  dump(): string
}

export interface ServeOptions {
  log: RootLog
  /** The settings as a start at this moment would find them. */
  reread: () => ServerSettings
  crashPoint?: CrashPoint
  /** The process the operator knows, where that is not this one. */
  leash?: ProcessId
}

/** A whole server, from top to bottom; disposing it stops it in the opposite order and leaves the VMs running. */
export async function serve(settings: ServerSettings, { log, reread, crashPoint, leash }: ServeOptions): Promise<Serving> {
  await using building = new AsyncDisposableStack()
  const world = realWorld
  const dataDir = makeDataDir(settings.dataDir)
  const mark = markOf(settings.address, settings.port, dataDir)
  const effects = building.use(journaledEffects(join(dataDir, 'journal.ndjson'), world.now, crashPoint))
  const opened = building.use(await openStore(settings, { world, log }))
  const { store: whole, meter: commits } = metered(crashPoint ? countedCommits(opened, effects) : opened, world)
  await bringUp(whole, log)
  const store = await soundStore(whole, whyNotRecord, log)
  await settleLastLife({ settings, store, world, log, leash })
  await checkListening(settings.address, settings.port)
  const place = placeOf(dataDir, mark, settings, await clashingSubnets(mark))
  const token = adminToken(dataDir, world)
  const drivers = building.use(
    await tryDrivers(
      { ...settings, options: driverOptions(settings.driverOptions), network: { subnet: place.subnet, bind: settings.address }, insist: true },
      { dataDir, mark, world, effects, log },
    ),
  )
  if (settings.onExit === 'destroy') building.defer(() => endAll({ dataDir, store, drivers, world, log }))
  const channels = await usableChannels(drivers.unusable, log)
  const live = liveSettings({
    settings,
    reread,
    async apply(now) {
      log.level = now.logLevel
      warnOfTooMuch(now, log)
      await host.optionsChanged()
    },
  })
  const reload = async () => {
    const done = await live.reload()
    log.info('settings were read again', done)
    return done
  }
  warnOfTooMuch(settings, log)
  const total = offered(settings)
  const host: Host = building.use(
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
      get total() {
        return offered(live.now)
      },
      images: { get dirs() { return live.now.imagePaths }, cacheDir: cacheDir(process.env), ...(recipesDir() === undefined ? {} : { recipesDir: recipesDir() }) },
      variables: process.env,
      dataDir,
      expected: ownNames,
      uidOf,
      reload,
      certificate: () => shownCertificate(settings),
      boot: readTextNow('/proc/sys/kernel/random/boot_id')?.trim() ?? 'unknown',
    }),
  )
  const cloud = building.use(await cluster({ store, world, log, version, get limits() { return live.now.limits }, peer: (name) => (name === place.name ? host.peer : undefined) }))
  const isAdmin = tokenCheck(token)
  const trail = auditTrail(building.use(auditFiles(dataDir, { world, log })))
  const tls = certificateFor(settings, world)
  const api = building.use(
    apiServer({
      cloudFor: (user, origin) => audit(guard(cloud, user), { trail, user, origin, world }),
      authenticate: (given) => (isAdmin(given) ? { user: { name: builtInUser, role: 'admin' } } : cloud.access.authenticate(given)),
      world,
      log,
      meters: serverMeters({ version, world, store, commits, effects, log, lag: building.use(lag(world)), place }),
      tls,
      rateLimit: { get perSecond() { return live.now.rateLimit.perSecond }, get burst() { return live.now.rateLimit.burst } },
    }),
  )
  warnOfOpenEars(settings, log)
  if (tls) building.use(keptFresh(api, tls, { settings, world, log }))
  await api.listen(settings.address, settings.port)
  const state = join(dataDir, 'server.json')
  writeWhole(state, `${JSON.stringify({ ...(leash ?? processOf(process.pid)), address: settings.address, port: settings.port, version, onExit: settings.onExit, fingerprint: tls?.fingerprint } satisfies Partial<RunningServer>)}\n`)
  building.defer(() => removeAll(state))
  log.info('serving', { address: settings.address, port: settings.port, dataDir, mark, ...place, engines: [...drivers.engines.keys()], volume: drivers.volume.name, network: drivers.network.name, total, ...(tls ? { fingerprint: tls.fingerprint } : {}) })
  const stack = building.move()
  return { address: `${settings.address}:${settings.port}`, dataDir, reload, dump: () => writeDump(live.now, world), [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

/** The ways into guests that can be used here; the others are named with the reason. */
async function usableChannels(unusable: UnusableFact[], log: Log): Promise<Record<string, ChannelFactory>> {
  const found: Record<string, ChannelFactory> = {}
  for (const [name, load] of Object.entries(channelRegistry)) {
    try {
      found[name] = await load()
    } catch (fault) {
      unusable.push({ kind: 'channel', name, why: reasonOf(fault) })
      log.warn('a way into guests is not usable here', { name, why: reasonOf(fault) })
    }
  }
  return found
}

/** VMs may ask for this many times the machine's processors together, unless told otherwise. */
const cpuOvercommitOfAll = 8

const machine = (dataDir: string) => {
  const { blocks, bsize } = statfsSync(dataDir)
  return { cpu: availableParallelism(), memMb: Math.floor(totalmem() / 2 ** 20), diskMb: Math.floor((blocks * bsize) / 2 ** 20) }
}

/** What this host offers: what was given, exactly, else what the machine has. */
function offered(settings: ServerSettings): Demand {
  const known = offers.get(settings)
  if (known) return known
  const { cpuTotal, cpuOvercommit, memTotal, diskTotal, vmsMax, dataDir } = settings
  const has = machine(dataDir)
  const factor = cpuOvercommit ?? (cpuTotal === undefined ? cpuOvercommitOfAll : 1)
  const total = { cpu: (cpuTotal ?? has.cpu) * factor, memMb: memTotal ?? has.memMb, diskMb: diskTotal ?? has.diskMb, vms: vmsMax }
  offers.set(settings, total)
  return total
}

/** Worked out once for each settings: it is asked for with every claim. */
const offers = new WeakMap<ServerSettings, Demand>()

function warnOfTooMuch({ cpuTotal, memTotal, diskTotal, dataDir }: ServerSettings, log: Log): void {
  const has = machine(dataDir)
  const given = [['cpu', cpuTotal, has.cpu], ['memory', memTotal, has.memMb], ['disk', diskTotal, has.diskMb]] as const
  for (const [what, wanted, there] of given) if (wanted !== undefined && wanted > there) log.warn(`more ${what} is offered than the machine has`, { offered: wanted, machine: there })
}
