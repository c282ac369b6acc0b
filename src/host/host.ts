import { join } from 'node:path'
import { background as makeBackground } from '../base/background.ts'
import type { Effects } from '../base/effects.ts'
import type { Log } from '../base/log.ts'
import type { World } from '../base/world.ts'
import type { ChannelFactory } from '../drivers/channel/channel.ts'
import type { Engine } from '../drivers/engine/engine.ts'
import type { Link, NetworkDriver } from '../drivers/network/network.ts'
import type { VolumeDriver } from '../drivers/volume/volume.ts'
import { fail, reasonOf } from '../model/errors.ts'
import type { Demand } from '../model/expand.ts'
import type { EngineFact, UnusableFact } from '../model/host.ts'
import { keptMb } from '../model/image.ts'
import type { Nic } from '../model/plan.ts'
import { keys, lastPart } from '../model/records.ts'
import type { Leak, Peer } from '../model/session.ts'
import type { Store } from '../store/store.ts'
import { addressBook, parseCidr, parseIp } from './addresses.ts'
import { runClaims } from './claims.ts'
import { doctor } from './doctor.ts'
import { guests } from './guests.ts'
import { catalogue } from './images.ts'
import { importedImages } from './imported-images.ts'
import { importer } from './imports.ts'
import { runKeeping } from './keeping.ts'
import { keptDisks } from './kept-disks.ts'
import { findLeaks, ownedIds, sweep } from './leaks.ts'
import { hostLinks } from './links.ts'
import { runPresence } from './presence.ts'
import { report as makeReport } from './report.ts'
import { hostSessions } from './sessions.ts'
import { hostViews } from './views.ts'
import { runVms } from './vms.ts'

export interface HostOptions {
  /** Unique among the hosts of a store. */
  name: string
  address: string
  version: string
  store: Store
  world: World
  effects: Effects
  log: Log
  /** Drivers that were probed and work. */
  engines: ReadonlyMap<string, { engine: Engine; version: string }>
  volume: { name: string; driver: VolumeDriver }
  network: { name: string; driver: NetworkDriver }
  channels: Record<string, ChannelFactory>
  unusable: UnusableFact[]
  /** What it offers to VMs; may change in life. */
  total: Demand
  subnet: string
  portFrom: number
  portTo: number
  /** `dirs` may change in life. */
  images: { dirs: string[]; cacheDir: string; recipesDir?: string }
  dataDir: string
  /** Names that belong in the data directory. */
  expected: ReadonlySet<string>
  /** Gives each VM a user of its own, or none where the server may not change users. */
  uidOf: (ip: string) => number | undefined
  /** Names the present boot of the machine. */
  boot: string
  /** Reads the settings that can change in life again, and says which did, and which of those that differ need a restart. */
  reload?: () => Promise<{ changed: string[]; needRestart: string[] }>
  /** The environment, which names the proxies that images are fetched through. */
  variables?: Record<string, string | undefined>
  /** The certificate its API shows, in PEM; undefined without TLS. */
  certificate?: () => string | undefined
}

export interface Host extends AsyncDisposable {
  /** Sessions into this host's VMs. */
  peer: Peer
  leaks(): Promise<Leak[]>
  /** Takes over what may change in the options: `total` and the directories of images. */
  optionsChanged(): Promise<void>
}

/** Makes this machine be as asked and says how it is: everything of `host/`, wired. VMs outlive it. */
export async function runHost(options: HostOptions): Promise<Host> {
  const { name, store, world, effects, log, uidOf } = options
  await using building = new AsyncDisposableStack()
  const background = building.use(makeBackground((what, fault) => log.error('background work ended', { what, fault: String(fault) })))
  const views = building.use(await hostViews(store, { world, log }))
  const engines = new Map([...options.engines].map(([engine, { engine: driver }]) => [engine, driver]))
  const { driver: volume } = options.volume
  const { driver: network } = options.network
  const addresses = addressBook(options)
  const links = building.use(hostLinks({ name, views, network, addresses, uidOf }))
  const machine = { name, views, engines, volume, network, links, dataDir: options.dataDir, expected: options.expected }
  const owned = links.owned()
  checkSubnet(owned, options.subnet)
  for (const link of owned) addresses.adopt(link.id, link.id.split('.')[0] ?? '', link)
  await sweep({ ...machine, log })

  const report = makeReport(store)
  let refresh = () => undefined as void
  const kept = await keptDisks({ dir: join(options.dataDir, 'kept'), volume, world, effects })
  const imported = await importedImages({ dir: join(options.dataDir, 'imported'), world, effects })
  const readerUid = uidOf(options.subnet.split('/')[0] ?? '') // No VM has the address of the subnet itself.
  const images = building.use(await catalogue({ ...options.images, dirs: () => options.images.dirs, wholeDirs: [options.images.cacheDir, kept.dir, imported.dir], importedDir: imported.dir, ownUsers: readerUid !== undefined, engines, world, effects, log, signal: background.signal, onChange: () => refresh() }))
  const met = building.use(guests({ channels: options.channels, addressOf: (id, port) => addressOf(links.nicOf(id), port), dataDir: options.dataDir, world, effects, log, onChange: (id) => vms.touch(id) }))
  met.sweep(ownedIds(machine))
  const keeping = building.use(runKeeping({ name, views, report, images, kept, imported, volume, engines, world, log }))
  const vms = building.use(runVms({ name, views, report, world, log, engines, volume, links, addresses, images, keeping, guests: met, boot: options.boot, uidOf }))
  for (const engine of engines.values()) {
    background.run('engine watch', async (signal) => {
      while (!signal.aborted) {
        try {
          for await (const id of engine.watch({ signal })) vms.touch(id)
        } catch (fault) {
          log.error('an engine could not be watched', { fault: reasonOf(fault) })
        }
        await world.sleep(1000, signal)
      }
    })
  }
  const facts = () => ({
    address: options.address,
    version: options.version,
    started,
    total: options.total,
    engines: [...options.engines].map(([engine, { engine: driver, version }]): EngineFact => ({ name: engine, version, features: factsOf(driver) })),
    unusable: options.unusable,
    images: images.specs(),
    broken: images.broken(),
    network: options.network.name,
    networkFeatures: { ...network.features },
    addresses: network.features.addresses,
    volume: options.volume.name,
  })
  const started = new Date(world.now()).toISOString()
  const presence = await runPresence({ name, store, report, world, facts, background })
  refresh = presence.refresh
  refresh() // What changed while the first facts were told.
  const able = () => {
    const specs = images.specs()
    return ({ engine, image }: { engine: string; image: string }) => {
      const spec = specs[image]
      return spec !== undefined && engines.get(engine)?.features.archs.includes(spec.arch) === true
    }
  }
  building.use(runClaims({ name, store, views, world, log, total: () => ({ ...options.total, diskMb: options.total.diskMb - keptMb(images.specs()) }), able }))
  for (const { key, value } of views.claims.entries()) if (value.host === name) vms.touch(lastPart(key))
  const leaks = () => findLeaks(machine)
  const examine = doctor({ ...options, ...machine, store: store.leftOut?.whole ?? store, images, imageDirs: () => options.images.dirs, cacheDir: options.images.cacheDir, clockBegan: world.now() - world.ticks() })
  const importing = await importer({
    name,
    engines,
    imported,
    taken: (image) => images.get(image) !== undefined || images.specs()[image] !== undefined || images.broken()[image] !== undefined,
    unwanted: (image) => views.unwanted.get(keys.unwanted(image)) !== undefined,
    onImage: async () => {
      await images.dirsChanged()
      refresh()
    },
    diskLimitBytes: () => options.total.diskMb * 2 ** 20,
    uid: readerUid,
    variables: options.variables ?? {},
    world,
    effects,
    log,
  })
  const { reload: reread } = options
  const reload = reread && (async () => {
    const told = await reread()
    refresh() // What is installed on the machine may have changed, too.
    return told
  })
  const stack = building.move()
  return {
    peer: hostSessions({ importing, name, engines, guests: met, views, images, world, examine, reload }),
    leaks,
    async optionsChanged() {
      await images.dirsChanged()
      refresh()
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

/** Where a port of a guest is reached from this host: at its own address, or where the engine listens in its place. */
function addressOf(nic: Nic | undefined, port: number): { host: string; port: number } | undefined {
  if (nic?.kind === 'tap') return { host: nic.ip, port }
  const outer = nic?.ports[port]
  if (nic?.kind !== 'user' || outer === undefined) return undefined
  return { host: nic.bind === '0.0.0.0' ? '127.0.0.1' : nic.bind === '::' ? '::1' : nic.bind, port: outer }
}

/** A server that is told another subnet cannot take its VMs with it: they have their addresses. */
function checkSubnet(links: Link[], subnet: string): void {
  const { base, length } = parseCidr(subnet)
  const outside = links.find(({ ip }) => parseIp(ip) < base || parseIp(ip) >= base + 2 ** (32 - length))
  if (outside) fail('conflict', `VMs of this server have addresses outside the subnet ${subnet}, the first ${outside.ip}`, { subject: 'server', remedy: 'start it with the --subnet they were made in and delete their ENVs first' })
}

/** An engine's features as other hosts and people see them: lists as words, what has names as `name:word`. */
const factsOf = ({ features }: Engine): Record<string, boolean | string> =>
  Object.fromEntries(Object.entries(features).map(([feature, value]) => [feature, typeof value === 'boolean' ? value : wordsOf(value)]).filter(([, value]) => value !== ''))

const wordsOf = (value: unknown): string =>
  Array.isArray(value) ? value.join(' ') : typeof value === 'object' && value !== null ? Object.entries(value).map(([name, word]) => `${name}:${String(word)}`).join(' ') : String(value)
