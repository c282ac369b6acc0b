import { test } from 'node:test'
import { type Effects, plainEffects } from '../../src/base/effects.ts'
import { type Ground, ground } from '../../src/drivers/network/ground.ts'
import type { Link, NetworkDriver } from '../../src/drivers/network/network.ts'
import { bridgeOf, gatewayOf, tapOf } from '../../src/drivers/network/nftables/names.ts'
import { nftables } from '../../src/drivers/network/nftables/nftables.ts'
import { type Peer, peer, player, sh } from './players.ts'

/**
 * Real packets. Guests and the outside world are processes in network namespaces of their own; a guest hangs on one end of a pair of virtual
 * cables whose other end takes the place, and the name, of its tap. The machine is 192.0.2.1 to the outside, which is 192.0.2.2 and up.
 */
export interface TrafficGround extends AsyncDisposable {
  on: Ground
  driver: NetworkDriver
  /** One for each link, in their order, listening on its port 22 by TCP and UDP. */
  guests: Peer[]
  /** Listens on 80 and 53. */
  outside: Peer
  /** The machine itself, listening on 7777, and on 7778 of 127.0.0.1 only. */
  host: ReturnType<typeof player>
  /** One more who is plugged in nowhere. */
  stranger(name: string): Peer
  /** Plugs a guest in where the link says; its addresses too, unless it is to come by them itself. */
  plug(guest: Peer, link: Link, how?: { bare: true }): void
  /** As `change`, and the guests stay plugged in: their taps are not touched. */
  update(...put: Link[]): Promise<unknown>
}

/** Undefined if there are no real packets here; a skipped test then says why. */
export async function trafficGround(what: string, links: readonly Link[], watch?: (on: Ground) => Effects): Promise<TrafficGround | undefined> {
  const on = ground(nftables)
  const driver = await on.driver(watch?.(on) ?? plainEffects())
  const probe = await driver.probe()
  if (!probe.usable) {
    await on.clear()
    test(what, { skip: `not usable here: ${probe.why}` }, () => undefined)
    return undefined
  }
  const players: Peer[] = []
  const stranger = (name: string) => {
    const made = peer(name)
    players.push(made)
    return made
  }
  const guests = links.map((_, at) => stranger(`g${at + 1}`))
  const outside = stranger('outside')
  const host = player('host')
  const plug: TrafficGround['plug'] = (guest, link, how) => {
    const tap = tapOf(on.mark, link.ip)
    const { ip, prefixLength } = gatewayOf(link.slice)
    sh('ip', 'link', 'delete', 'dev', tap)
    sh('ip', 'link', 'add', 'name', tap, 'type', 'veth', 'peer', 'name', 'eth0', 'address', link.mac, 'netns', String(guest.pid))
    sh('ip', 'link', 'set', 'dev', tap, 'master', bridgeOf(on.mark, link.slice))
    sh('ip', 'link', 'set', 'dev', tap, 'up', 'type', 'bridge_slave', 'hairpin', 'on')
    if (how) return
    configure(guest, `${link.ip}/${prefixLength}`)
    guest.sh('ip', 'route', 'add', 'default', 'via', ip)
  }

  sh('ip', 'link', 'set', 'dev', 'lo', 'up')
  await Promise.all([...guests.map((guest) => guest.listen(22)), ...[80, 53].map((port) => outside.listen(port)), host.listen(7777), host.listen(7778, '127.0.0.1')])
  sh('ip', 'link', 'add', 'name', 'up0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(outside.pid))
  sh('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'up0')
  sh('ip', 'link', 'set', 'dev', 'up0', 'up')
  configure(outside, '192.0.2.2/24')
  await driver.reconcile([])
  await driver.change({ put: [...links], remove: [] })
  links.forEach((link, at) => plug(guests[at] as Peer, link))
  return {
    on,
    driver,
    guests,
    outside,
    host,
    stranger,
    plug,
    update: (...put) => driver.change({ put, remove: [] }),
    async [Symbol.asyncDispose]() {
      host.hangUp()
      try {
        // While the players live: with their network namespaces our ends of the cables would go by themselves, while we remove them.
        await (await on.driver()).clear()
      } finally {
        for (const one of players) one.end()
        await on.clear()
      }
    },
  }
}

function configure(one: Peer, address: string): void {
  one.sh('ip', 'link', 'set', 'dev', 'lo', 'up')
  one.sh('ip', 'address', 'add', address, 'dev', 'eth0')
  one.sh('ip', 'link', 'set', 'dev', 'eth0', 'up')
}
