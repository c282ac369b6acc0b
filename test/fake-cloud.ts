import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Effects, plainEffects } from '../src/base/effects.ts'
import { silentLog } from '../src/base/log.ts'
import { realWorld, type World } from '../src/base/world.ts'
import type { Access } from '../src/cloud/access.ts'
import type { Limits } from '../src/cloud/admission.ts'
import { cluster } from '../src/cloud/cluster.ts'
import type { Engine } from '../src/drivers/engine/engine.ts'
import { fake as fakeEngine } from '../src/drivers/engine/fake.ts'
import { fake as fakeNetwork } from '../src/drivers/network/fake.ts'
import type { NetworkDriver } from '../src/drivers/network/network.ts'
import { fake as fakeVolume } from '../src/drivers/volume/fake.ts'
import { type HostOptions, runHost } from '../src/host/host.ts'
import type { Cloud } from '../src/model/cloud.ts'
import type { Demand } from '../src/model/expand.ts'
import type { Store } from '../src/store/store.ts'
import { memoryStore } from '../src/store/memory.ts'

/** A directory that goes away with what it is used for; in memory, where a thousand syncs cost nothing, if there is such a place. */
export function temporaryDir(name: string, where: 'disk' | 'memory' = 'disk'): { dir: string } & Disposable {
  const dir = mkdtempSync(join(where === 'memory' && existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), `tt-${name}-`))
  return { dir, [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }) }
}

export interface FakeCloud extends AsyncDisposable {
  cloud: Cloud
  access: Access
  store: Store
  leaks(): Promise<object[]>
}

export interface FakeCloudOptions {
  dir: string
  store?: Store
  engine?: Record<string, unknown>
  limits?: Partial<Limits>
  world?: World
  effects?: Effects
  total?: Demand
  ports?: { from: number; to: number }
  /** Folders with images besides the engine's own. */
  imageDirs?: string[]
  /** What is otherwise about the host. */
  host?: Partial<HostOptions>
  /** Puts something between the host and its drivers. */
  around?: { engine?: (engine: Engine) => Engine; network?: (network: NetworkDriver) => NetworkDriver }
}

const roomy: Demand = { cpu: 20_000, memMb: 2_000_000, diskMb: 20_000_000, vms: 20_000 }
const manyPorts = { from: 40_000, to: 59_999 }

/**
 * Cluster and one host in this process, on the fakes: everything real but the guests. Called again with the same directory and store it is the same
 * server started anew.
 */
export async function fakeCloud({ dir, store, engine = {}, around = {}, world = realWorld, effects = plainEffects(), total = roomy, ports = manyPorts, imageDirs = [], limits, host: otherwise = {} }: FakeCloudOptions): Promise<FakeCloud> {
  await using building = new AsyncDisposableStack()
  const kept = store ?? building.use(memoryStore({ world }))
  const home = (kind: string) => {
    mkdirSync(join(dir, kind), { recursive: true })
    return { dir: join(dir, kind), mark: 'fakes', world, effects, log: silentLog }
  }
  const engineDriver = building.use(await fakeEngine(home('engine'), engine))
  const volume = building.use(await fakeVolume(home('volume'), {}))
  const network = building.use(await fakeNetwork(home('network'), { subnet: '10.77.0.0/16', bind: '127.0.0.1' }))
  const host = building.use(
    await runHost({
      name: 'one',
      address: '127.0.0.1:9527',
      version: '0',
      store: kept,
      world,
      effects,
      log: silentLog,
      engines: new Map([['fake', { engine: around.engine?.(engineDriver) ?? engineDriver, version: '1' }]]),
      volume: { name: 'fake', driver: volume },
      network: { name: 'fake', driver: around.network?.(network) ?? network },
      channels: {},
      unusable: [],
      total,
      subnet: '10.77.0.0/16',
      portFrom: ports.from,
      portTo: ports.to,
      images: { dirs: imageDirs, cacheDir: join(dir, 'images') },
      dataDir: dir,
      expected: new Set(['engine', 'volume', 'network', 'images', 'kept', 'imported', 'store']),
      uidOf: () => undefined,
      boot: 'this one',
      ...otherwise,
    }),
  )
  const cloud = building.use(await cluster({ store: kept, world, log: silentLog, version: '0', peer: (name) => (name === 'one' ? host.peer : undefined), limits: { copiesMax: 20_000, ...limits } }))
  const stack = building.move()
  return { cloud, access: cloud.access, store: kept, leaks: host.leaks, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}
