import * as v from 'valibot'
import { driverOptions } from '../../model/driver-options.ts'
import { fail } from '../../model/errors.ts'
import type { Nic } from '../../model/plan.ts'
import type { Link, NetworkFactory } from './network.ts'
import { networkEntries } from './options.ts'
import { rememberedLinks } from './remembered.ts'

const schema = v.strictObject({
  ...networkEntries,
  /** Each change takes so long. */
  delayMs: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(3_600_000)), 0),
  /** Changes that put a link whose id matches this expression fail. */
  failFor: v.optional(v.string()),
  /** Of all changes, this part fails, from 0 to 1. */
  failRate: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(1)), 0),
})

/** Cards with nothing behind them: for the engine `fake`. It can be told to be slow and to fail. */
export const fake: NetworkFactory = async (home, given) => {
  const { subnet, delayMs, failFor, failRate } = driverOptions('network fake', schema, given)
  const { world } = home
  const cursed = failFor === undefined ? undefined : new RegExp(failFor)
  const links = rememberedLinks(home, {
    subnet,
    nicOf,
    async admit(put, _ports, call) {
      if (delayMs > 0) await world.sleep(delayMs, call?.signal)
      const bad = put.find(({ id }) => cursed?.test(id))
      if (bad) fail('failed', 'the network was told to fail for this link', { subject: `vm/${bad.id}` })
      if (failRate > 0 && (world.random(1)[0] ?? 0) < failRate * 256) fail('failed', 'the network was told to fail')
    },
  })
  return {
    ...links,
    features: { addresses: true, denyOutgoing: true, isolation: true, udp: true, denyLists: true, peers: true, live: true, dhcp: true },
    probe: async () => ({ usable: true, version: '1' }),
    async [Symbol.asyncDispose]() {
      links[Symbol.dispose]()
    },
  }
}

function nicOf({ id, mac, ip, slice, ports }: Link): Nic {
  const [network = '', prefixLength] = slice.split('/')
  const gateway = network.replace(/\d+$/, (last) => String(Number(last) + 1))
  return { id, mac, ip, prefixLength: Number(prefixLength), gateway, ports: { ...ports }, kind: 'none' }
}
