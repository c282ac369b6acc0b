import type { Call } from '../../model/call.ts'
import type { Nic } from '../../model/plan.ts'
import type { DriverHome, Probe } from '../engine/engine.ts'

/**
 * Connects VMs: one segment per slice of an ENV, an address and a card per VM, public ports to inner ones, and what a guest may reach.
 * Addresses, ports and slices are chosen by `host/` and kept there; the driver makes the machine agree with what it is told.
 *
 * Rules for an implementer
 * - `change` is all or nothing as far as the machine allows (nft is atomic): if it rejects, what it made is taken back and `remove` may not
 *   have happened. It may be repeated; putting a link that is there as asked changes nothing; removing an unknown one resolves.
 * - Cards exist and rules hold before `change` resolves: a guest that is denied something never has an open window.
 * - A change of a link whose guest runs holds at once, also for what the guest has open: connections to what is denied now, by a public port that is
 *   gone, or with a slice that is no peer any more are cut; all others live on. A driver without `live` says so, and the host starts the guest anew or tells.
 * - What a driver cannot do it refuses with `unsupported`, naming the VM; nothing is ever ignored.
 * - Segments (bridges) come with their first link and go with their last.
 * - `reconcile(all)` makes the machine hold exactly `all`: what is missing is made, what carries this server's mark and is not in `all` is removed.
 * - The number of rules does not grow with the number of VMs: elements of maps and sets do.
 * - Everything made carries `home.mark` in its name. When the last link is gone and the driver is told to `clear`, nothing is left.
 */
export interface NetworkDriver extends AsyncDisposable {
  readonly features: NetworkFeatures
  probe(call?: Call): Promise<Probe>
  /** The cards of `put`, in its order. */
  change(change: { put: Link[]; remove: string[] }, call?: Call): Promise<Nic[]>
  reconcile(all: Link[], call?: Call): Promise<Nic[]>
  /** Ids of links the machine really holds now, read from the machine. */
  inspect(call?: Call): Promise<string[]>
  /** Removes everything of this server's mark, table included. */
  clear(call?: Call): Promise<void>
  /** Things of this server's mark on the machine that no link of `owned` explains, found without the driver's own records. */
  leaks?(owned: readonly Link[]): Promise<{ kind: 'tap' | 'bridge' | 'nft' | 'process'; subject: string; why: string }[]>
  /** What of its features does not work now, and what can be done about it. */
  findings?(): Promise<{ message: string; remedy: string }[]>
}

export interface NetworkFeatures {
  /** Guests have addresses of their own, reachable from the host. */
  addresses: boolean
  denyOutgoing: boolean
  /** Guests of different segments cannot reach each other. */
  isolation: boolean
  udp: boolean
  /** `Link.deny` is obeyed. */
  denyLists: boolean
  /** `Link.peers` is obeyed. */
  peers: boolean
  /** What changes of a link holds for a guest that runs; else from its next start. */
  live: boolean
  /** Guests that ask by DHCP are told their address. */
  dhcp: boolean
}

/** One VM's wish. */
export interface Link {
  /** The VM's id. */
  id: string
  /** The segment it is on: `slice` in CIDR, at most a /22 because a Linux bridge takes 1,023 ports; its first address is the gateway. */
  slice: string
  ip: string
  mac: string
  /** Public port for each inner port, TCP and UDP. */
  ports: Record<number, number>
  /** The guest begins no conversation with anything outside its slice and its peers; it answers as ever. */
  denyOutgoing: boolean
  /**
   * IPv4 addresses and prefixes with which the guest begins no conversation; whoever calls it from there is answered. 1,000 at most. Guests of the
   * server are meant only by addresses or prefixes inside the subnet; with those the guest exchanges nothing at all.
   */
  deny: string[]
  /** Other slices whose guests and those of this slice reach each other, if both name the other. What the last link put on a slice says holds for all of it. */
  peers: string[]
  /** The user the card belongs to. */
  owner?: number
}

/** Options every network driver understands. */
export interface NetworkOptions {
  /** All slices lie in it, CIDR. Checked against the machine's own routes by `probe`. */
  subnet: string
  /** Where public ports are bound when the driver itself listens; `nftables` answers on every local address. */
  bind: string
}

export type NetworkFactory = (home: DriverHome, options: NetworkOptions) => Promise<NetworkDriver>
