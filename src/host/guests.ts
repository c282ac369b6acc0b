import type { Log } from '../base/log.ts'
import type { World } from '../base/world.ts'
import { agentPort, type Channel, type ChannelFactory, type Guest } from '../drivers/channel/channel.ts'
import type { Engine } from '../drivers/engine/engine.ts'
import { fail } from '../model/errors.ts'
import type { Way } from '../model/image.ts'

/** The channels into this host's running guests: one each, opened when the guest starts and kept. */
export interface Guests extends AsyncDisposable {
  /** Opens the guest's channel unless it is open; undefined for an image without an agent. */
  meet(id: string, engine: Engine, ways: readonly Way[]): Channel | undefined
  get(id: string): Channel | undefined
  /** Whether the guest has answered since it was met. */
  answered(id: string): boolean
  leave(id: string): Promise<void>
}

export function guests(options: { channels: Record<string, ChannelFactory>; world: World; log: Log; onAnswer: (id: string) => void }): Guests {
  const { channels, world, log, onAnswer } = options
  const met = new Map<string, { channel: Channel; answered: boolean }>()
  const open = (id: string, engine: Engine, agent: Way): Channel => {
    if (agent === 'engine') return engine.channel?.(id) ?? fail('unsupported', 'the engine has no channel of its own')
    const factory = channels[agent] ?? fail('unsupported', `no channel speaks to the agent ${agent}`)
    const guest: Guest = {
      id,
      world,
      log,
      dial: async (call, portName = agentPort) => (await engine.dial?.(id, portName, call)) ?? fail('unsupported', 'the engine cannot open a stream into its guests'),
      address: () => undefined,
      secret: new Uint8Array(32),
      sshKey: async () => fail('unsupported', 'there is no key yet'),
      dir: async () => fail('unsupported', 'there is no directory yet'),
    }
    return factory(guest)
  }
  return {
    meet(id, engine, [agent]) {
      if (agent === undefined) return undefined
      const known = met.get(id)
      if (known) return known.channel
      const entry = { channel: open(id, engine, agent), answered: false }
      met.set(id, entry)
      entry.channel.ready({ signal: entry.channel.closed }).then(
        () => {
          entry.answered = true
          onAnswer(id)
        },
        () => undefined, // Closed before it answered: `leave` was called.
      )
      return entry.channel
    },
    get: (id) => met.get(id)?.channel,
    answered: (id) => met.get(id)?.answered === true,
    async leave(id) {
      const entry = met.get(id)
      met.delete(id)
      await entry?.channel[Symbol.asyncDispose]()
    },
    async [Symbol.asyncDispose]() {
      await Promise.allSettled([...met.values()].map(({ channel }) => channel[Symbol.asyncDispose]()))
      met.clear()
    },
  }
}
