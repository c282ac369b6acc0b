import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { DriverHome, Engine, Probe } from '../drivers/engine/engine.ts'
import { engines as engineRegistry } from '../drivers/engine/index.ts'
import { networks as networkRegistry } from '../drivers/network/index.ts'
import type { NetworkDriver, NetworkOptions } from '../drivers/network/network.ts'
import { volumes as volumeRegistry } from '../drivers/volume/index.ts'
import type { VolumeDriver } from '../drivers/volume/volume.ts'
import { guestFileNames } from '../host/guest-files.ts'
import { fail } from '../model/errors.ts'
import type { UnusableFact } from '../model/host.ts'

/** Which drivers a server tries, and what it tells them. */
export interface DriverChoice {
  /** Names in the order of preference; empty: every one there is, except the fakes. */
  engines: string[]
  volumes: string[]
  networks: string[]
  /** Options by kind and driver: `engine.fake`. */
  options: DriverOptions
  network: NetworkOptions
  /** What somebody chose wrongly is refused, and not made up for by another driver. */
  insist?: true
}

export type DriverOptions = Partial<Record<'engine' | 'volume' | 'network', Record<string, Record<string, unknown>>>>

export interface Drivers extends AsyncDisposable {
  engines: Map<string, { engine: Engine; version: string }>
  volume: { name: string; driver: VolumeDriver }
  network: { name: string; driver: NetworkDriver }
  unusable: UnusableFact[]
}

/** Tries the drivers and keeps those that work: every engine, the first volume and network driver. What does not work is kept with its reason. */
export async function tryDrivers(choice: DriverChoice, home: Omit<DriverHome, 'dir'> & { dataDir: string }): Promise<Drivers> {
  await using building = new AsyncDisposableStack()
  const unusable: UnusableFact[] = []
  const onlyFakes = choice.engines.length > 0 && choice.engines.every((name) => name === 'fake')
  const usual = (registry: object, wanted: string[], fakes: boolean) => {
    const names = wanted.length > 0 ? wanted : Object.keys(registry).filter((name) => (name === 'fake') === fakes)
    const strange = names.find((name) => !(name in registry))
    if (strange !== undefined) fail('invalid', `there is no driver ${JSON.stringify(strange)}`, { subject: 'server', remedy: `there are ${Object.keys(registry).join(', ')}` })
    return names
  }
  const attempt = async <D extends AsyncDisposable & { probe(): Promise<Probe> }>(kind: UnusableFact['kind'], name: string, make: (at: DriverHome) => Promise<D>) => {
    const driver = await make({ ...home, dir: driverDir(home.dataDir, kind, name), log: home.log.with({ driver: name }) })
    const probe = await driver.probe()
    if (probe.usable) {
      building.use(driver)
      return { driver, version: probe.version }
    }
    await driver[Symbol.asyncDispose]()
    if (choice.insist && probe.remedy !== undefined) fail('conflict', probe.why, { subject: 'server', remedy: probe.remedy })
    unusable.push({ kind, name, why: probe.why })
    home.log.info('a driver is not usable here', { kind, name, why: probe.why })
    return undefined
  }

  const engines = new Map<string, { engine: Engine; version: string }>()
  const volumeNames = usual(volumeRegistry, choice.volumes, onlyFakes)
  const networkNames = usual(networkRegistry, choice.networks, onlyFakes)
  const tried = await Promise.all(
    usual(engineRegistry, choice.engines, false).map(async (name) => {
      const factory = await engineRegistry[name as keyof typeof engineRegistry]()
      return { name, found: await attempt<Engine>('engine', name, (at) => factory(at, choice.options.engine?.[name] ?? {})) }
    }),
  )
  for (const { name, found } of tried) if (found) engines.set(name, { engine: found.driver, version: found.version })
  const first = async <D>(kind: 'volume' | 'network', names: string[], make: (name: string) => Promise<{ driver: D } | undefined>) => {
    for (const name of names) {
      const found = await make(name)
      if (found) return { name, driver: found.driver }
    }
    fail('unavailable', `no ${kind} driver works here: ${unusable.filter((one) => one.kind === kind).map(({ name, why }) => `${name}: ${why}`).join('; ')}`, { subject: 'server' })
  }
  const volume = await first('volume', volumeNames, async (name) => {
    const factory = await volumeRegistry[name as keyof typeof volumeRegistry]()
    return attempt<VolumeDriver>('volume', name, (at) => factory(at, choice.options.volume?.[name] ?? {}))
  })
  const network = await first('network', networkNames, async (name) => {
    const factory = await networkRegistry[name as keyof typeof networkRegistry]()
    return attempt<NetworkDriver>('network', name, (at) => factory(at, { ...choice.options.network?.[name], ...choice.network }))
  })
  if (engines.size === 0 && choice.engines.length > 0) {
    fail('unavailable', `no engine works here: ${unusable.filter((one) => one.kind === 'engine').map(({ name, why }) => `${name}: ${why}`).join('; ')}`, { subject: 'server' })
  }
  const stack = building.move()
  return { engines, volume, network, unusable, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

/** A directory of the driver's own; volumes' may be passed through by the VMs' users. */
function driverDir(dataDir: string, kind: string, name: string): string {
  const dirs = [join(dataDir, kind), join(dataDir, kind, name)] as const
  for (const dir of dirs) {
    mkdirSync(dir, { recursive: true })
    chmodSync(dir, 0o711)
  }
  return dirs[1]
}

/** Names in a data directory that belong to it. */
export const ownNames: ReadonlySet<string> = new Set(['engine', 'volume', 'network', 'store', 'place.json', 'token', 'journal.ndjson', 'journal.ndjson.1', 'set-aside.ndjson', 'server.json', 'tls', 'leash.json', 'dump.json', 'dump.json.1', 'server.log', 'server.log.1', 'settings.json', 'kept', 'imported', 'audit', ...guestFileNames])
