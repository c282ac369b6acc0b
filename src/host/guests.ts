import type { Effects } from '../base/effects.ts'
import type { Log } from '../base/log.ts'
import type { World } from '../base/world.ts'
import { agentPort, type Channel, type ChannelFactory, type Guest } from '../drivers/channel/channel.ts'
import type { Engine } from '../drivers/engine/engine.ts'
import { fail } from '../model/errors.ts'
import type { Way } from '../model/image.ts'
import { parseVmId } from '../model/names.ts'
import type { GuestStatus, VmSpec } from '../model/vm.ts'
import { guestFiles } from './guest-files.ts'
import { introduced, keysFor } from './guest-identity.ts'
import { type GuestWays, guestWays, type Silence } from './guest-ways.ts'

/** The ways into this host's running guests: opened when a guest starts, and kept. */
export interface Guests extends AsyncDisposable {
  /** Opens the first of the guest's ways unless it was met; gives its channel, or undefined for one that has no way in. Refuses if none can be opened on this host. */
  meet(id: string, engine: Engine, ways: readonly Way[]): Channel | undefined
  /** The preferred of its ways that answers, or the named one; undefined for a guest that was not met. Refuses a way that it has not. */
  get(id: string, via?: Way): Channel | undefined
  /** Whether the guest has answered since it was met. */
  answered(id: string): boolean
  /** How it is, as far as it is to be told. */
  status(id: string): GuestStatus | undefined
  /** Tells when the way of this channel falls silent, at once if it is already, and when it answers again. Until it is disposed. */
  heed(id: string, channel: Channel, hear: (silence: Silence) => void): Disposable
  /** Makes a guest that answers who it is to be, unless it was told the very same; where its way can. */
  introduce(vm: VmSpec): Promise<void>
  leave(id: string): Promise<void>
  /** The public keys that may enter a guest that has these ways: those of its ENV, and this host's. */
  keysFor(vm: VmSpec, ways: readonly Way[]): string[]
  /** Takes away what is kept for a guest that is gone, and the key of its ENV if it was the last. */
  forget(id: string, isLast: () => boolean): void
  /** Takes away what is kept for guests that are none of these. */
  sweep(ids: ReadonlySet<string>): void
}

export interface GuestsOptions {
  channels: Record<string, ChannelFactory>
  /** Where a port of a guest is reached from this host. */
  addressOf: (id: string, port: number) => { host: string; port: number } | undefined
  dataDir: string
  world: World
  effects: Effects
  log: Log
  /** It answers, or its status is another. */
  onChange: (id: string) => void
}

interface Met {
  named: readonly Way[]
  ways: GuestWays
  /** What it was last told of who it is. */
  told?: string
}

export function guests(options: GuestsOptions): Guests {
  const { channels, addressOf, world, log, onChange } = options
  const files = guestFiles(options)
  const met = new Map<string, Met>()
  const open = (id: string, engine: Engine, way: Way): Channel => {
    if (way === 'engine') return engine.channel?.(id) ?? fail('unsupported', 'the engine has no channel of its own')
    const factory = channels[way] ?? fail('unsupported', `this server cannot enter guests by ${way}`, { remedy: 'see why: `tt status --server`' })
    const guest: Guest = {
      id,
      world,
      log: log.with({ vm: id, way }),
      dial: async (call, portName = agentPort) => (await engine.dial?.(id, portName, call)) ?? fail('unsupported', 'the engine cannot open a stream into its guests'),
      window: async () => engine.window?.(id),
      address: (port) => addressOf(id, port),
      get secret() {
        return files.secretOf(id)
      },
      sshKey: async () => files.keyOf(parseVmId(id)?.envUid ?? fail('internal', 'a guest without an ENV')),
      dir: async () => files.dirOf(id),
    }
    return factory(guest)
  }
  return {
    meet(id, engine, ways) {
      const known = met.get(id) ?? { named: ways, ways: guestWays({ ways, open: (way) => open(id, engine, way), world, log: log.with({ vm: id }), onChange: () => onChange(id) }) }
      met.set(id, known)
      return ways.length === 0 ? undefined : known.ways.channel
    },
    get: (id, via) => (via === undefined ? met.get(id)?.ways.channel : met.get(id)?.ways.by(via)),
    answered: (id) => met.get(id)?.ways.answered === true,
    status: (id) => met.get(id)?.ways.status,
    heed: (id, channel, hear) => met.get(id)?.ways.heed(channel, hear) ?? { [Symbol.dispose]: () => undefined },
    async introduce(vm) {
      const known = met.get(vm.id)
      if (!known || known.ways.status.state !== 'ready') return
      const { channel } = known.ways
      if (channel.identify) known.told = await introduced(channel, { vm, ways: known.named, told: known.told, files, world })
    },
    async leave(id) {
      const known = met.get(id)
      met.delete(id)
      await known?.ways[Symbol.asyncDispose]()
    },
    keysFor: (vm, ways) => keysFor(vm, ways, files),
    forget: files.forget,
    sweep: files.sweep,
    async [Symbol.asyncDispose]() {
      await Promise.allSettled([...met.values()].map(({ ways }) => ways[Symbol.asyncDispose]()))
      met.clear()
    },
  }
}
