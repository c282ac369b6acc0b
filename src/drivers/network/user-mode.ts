import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'
import * as v from 'valibot'
import { hasErrno } from '../../base/files.ts'
import { driverOptions } from '../../model/driver-options.ts'
import { fail } from '../../model/errors.ts'
import type { Nic } from '../../model/plan.ts'
import type { Link, NetworkFactory } from './network.ts'
import { networkEntries } from './options.ts'
import { rememberedLinks } from './remembered.ts'

/**
 * No right is needed: QEMU has a network stack of its own and binds the public ports itself. Nothing is made on the machine, so what a link asks
 * for is remembered in one file. That a port is free is seen by binding it for a moment; who takes it between that and the start
 * of the guest makes the start fail, in QEMU's words. A port that a link of ours already has is not tried: its guest may be holding it.
 */
export const userMode: NetworkFactory = async (home, given) => {
  const { subnet, bind } = driverOptions('network user-mode', v.strictObject(networkEntries), given)
  const links = rememberedLinks(home, {
    subnet,
    nicOf: (link) => nicOf(link, bind),
    async admit(put, ports) {
      put.forEach(refuseImpossible)
      for (const port of ports) await checkFree(bind, port)
    },
  })
  return {
    ...links,
    features: { addresses: false, denyOutgoing: true, isolation: true, udp: true, denyLists: false, peers: false, live: false, dhcp: true },
    probe: async () => {
      try {
        await Promise.all([tryTcp(bind, 0), tryUdp(bind, 0)])
        return { usable: true, version: '1' }
      } catch (fault) {
        return { usable: false, why: `nothing can listen on ${bind}: ${String(fault)}` }
      }
    },
    async [Symbol.asyncDispose]() {
      links[Symbol.dispose]()
    },
  }
}

/** What QEMU's own network gives to every guest: https://www.qemu.org/docs/master/system/devices/net.html#using-the-user-mode-network-stack */
const nicOf = ({ id, mac, ports, denyOutgoing }: Link, bind: string): Nic => ({
  id,
  mac,
  ip: '10.0.2.15',
  prefixLength: 24,
  gateway: '10.0.2.2',
  ports: { ...ports },
  kind: 'user',
  bind,
  denyOutgoing,
})

/** QEMU's network keeps a guest from everything or from nothing, and from every other guest. */
function refuseImpossible({ id, deny, peers }: Link): void {
  const refuse = (what: string) => fail('unsupported', `the network driver user-mode ${what}`, { subject: `vm/${id}`, remedy: 'run the server where the network driver nftables works, as root' })
  if (deny.length > 0) refuse('cannot deny single addresses')
  if (peers.length > 0) refuse('cannot let guests of two networks reach each other')
}

async function checkFree(bind: string, port: number): Promise<void> {
  try {
    await tryTcp(bind, port)
    await tryUdp(bind, port)
  } catch (fault) {
    const taken = hasErrno(fault, 'EADDRINUSE')
    fail(taken ? 'conflict' : 'failed', `the public port ${port} cannot be bound on ${bind}: ${taken ? 'another program has it' : String(fault)}`, {
      subject: `port/${port}`,
      remedy: 'end that program, or choose another range of public ports',
      cause: fault,
    })
  }
}

const tryTcp = (bind: string, port: number) =>
  new Promise<void>((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen({ host: bind, port, exclusive: true }, () => server.close(() => resolve()))
  })

const tryUdp = (bind: string, port: number) =>
  new Promise<void>((resolve, reject) => {
    const socket = createSocket(bind.includes(':') ? 'udp6' : 'udp4').once('error', reject)
    socket.bind({ address: bind, port, exclusive: true }, () => socket.close(() => resolve()))
  })
