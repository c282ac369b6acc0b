import { existsSync } from 'node:fs'
import * as v from 'valibot'
import type { ProcessId } from '../../../base/processes.ts'
import { gate } from '../../../base/queue.ts'
import { runOk } from '../../../base/run.ts'
import type { Call } from '../../../model/call.ts'
import { driverOptions } from '../../../model/driver-options.ts'
import { TtError, fail } from '../../../model/errors.ts'
import type { Nic } from '../../../model/plan.ts'
import { type Book, type Change, linkBook } from '../book.ts'
import { networkEntries } from '../options.ts'
import type { Link, NetworkFactory } from '../network.ts'
import { dhcp } from './dhcp.ts'
import { giveForwardingBack, turnForwardingOn } from './forwarding.ts'
import { both, hands } from './hands.ts'
import { findLeaks } from './leaks.ts'
import { linksIn, parseTables, readMachine } from './machine.ts'
import { bridgeOf, gatewayOf, ipOfTap, tapOf } from './names.ts'
import { probeMachine } from './probe.ts'
import { baseRuleset, noRuleset, type Realm } from './ruleset.ts'
import { shapeOf, stepsBetween, wholeOf } from './shape.ts'
import { runUpkeep } from './upkeep.ts'

const settleMs = 100

/**
 * Taps on bridges, and two nft tables whose rules are constant. What is on the machine is read once, after that each change is worked out from
 * what the last one left, and whenever the machine objects it is read again and made to agree as a whole.
 */
export const nftables: NetworkFactory = async (home, given) => {
  const { subnet } = driverOptions('network nftables', v.strictObject(networkEntries), given)
  const { mark, world } = home
  const realm: Realm = { mark, subnet }
  const turns = gate(1)
  const machine = hands(home)
  const addresses = dhcp(home, realm)
  let book: Book | undefined
  /** Whether the machine holds what the book says and nothing else, as far as we know. */
  let exact = false
  /** How many more rules will be told to be gone that we remove ourselves, to make them anew. */
  let expected = 0
  let stopExpecting = () => {}

  /** The machine as it is; who looks at it does not trust what was known. */
  const look = () => {
    const reading = Promise.all([readMachine(mark), machine.forget()])
    reading.catch(() => undefined) // Whoever waits for it hears of it, if anybody does.
    return reading
  }

  /** Makes the machine hold exactly the links of the book. */
  const converge = async (to: Book, reading = look()): Promise<void> => {
    exact = false
    const wanted = shapeOf(realm, wholeOf(to))
    const [is] = await reading
    if (is.alien) is.elements.clear()
    turnForwardingOn(home)
    const steps = stepsBetween(is, wanted)
    stopExpecting()
    expected += is.rules
    steps.remove.push(...is.strangers)
    const anew = is.alien ? noRuleset(mark) : []
    await both(machine.take(steps, [...withoutTables(is.strangeTables), ...anew, ...baseRuleset(realm)]), world.breathe().then(() => addresses.converge(to)))
    exact = true
    stopExpecting = world.after(settleMs * 10, () => (expected = 0))
  }

  const removeAll = async (): Promise<void> => {
    await machine.forget()
    const is = await readMachine(mark)
    await machine.remove([...is.taps.keys(), ...is.bridges.keys(), ...is.strangers])
    await machine.transact([...withoutTables(is.strangeTables), ...noRuleset(mark)])
  }

  /** Takes the change over into the book; gives the steps of the machine to it and the change that takes it back. */
  const applied = (held: Book, { put, remove }: Change) => {
    const ids = new Set([...put.map(({ id }) => id), ...remove])
    const slices = [...new Set([...put.map(({ slice }) => slice), ...[...ids].flatMap((id) => held.get(id)?.slice ?? [])])]
    const before = held.segments(slices)
    const back = held.apply({ put, remove })
    const after = held.segments(slices)
    // What is usual on a slice is told once for all: where it changes, it matters to everybody there.
    const others = slices.filter((slice) => before.get(slice)?.far.join() !== after.get(slice)?.far.join()).flatMap((slice) => held.on(slice)).filter(({ id }) => !ids.has(id))
    const were = back.put.filter(({ id }) => ids.has(id))
    const now = put.flatMap(({ id }) => held.get(id) ?? [])
    const [had, has] = [were, now].map((links) => new Map(links.map(({ id, slice, ip, mac }) => [id, `${slice} ${ip} ${mac}`])))
    const moved = [...were, ...now].filter(({ id }) => had?.get(id) !== has?.get(id)).map(({ slice }) => slice)
    return { back, moved: [...new Set(moved)], steps: stepsBetween(shapeOf(realm, { links: [...were, ...others], segments: before }), shapeOf(realm, { links: [...now, ...others], segments: after })) }
  }

  const change = async (wish: Change): Promise<Nic[]> => {
    book ??= linkBook(subnet, linksIn(realm, await readMachine(mark)))
    const held = book
    held.check(wish)
    const put = wish.put.filter((link) => !held.has(link))
    // A link that is asked for again must really be there: a tap may have gone with nobody telling us.
    exact &&= wish.put.every((link) => !held.has(link) || isInterface(tapOf(mark, link.ip)))
    const { back, moved, steps } = applied(held, { put, remove: wish.remove })
    try {
      if (exact)
        await machine.take(steps).then(
          () => (moved.length > 0 ? addresses.follow(held, moved) : undefined),
          () => converge(held),
        )
      else await converge(held)
    } catch (fault) {
      held.apply(back)
      await converge(held).catch((other: unknown) => home.log.error('a failed change of the network could not be taken back', { why: String(other) }))
      asFailed(fault, culpritIn(String(fault), wish.put, mark))
    }
    return wish.put.map((link) => nicOf(mark, link))
  }

  /** Makes the machine agree again if somebody changed it. */
  const mend = async (): Promise<void> => {
    if (!book || closed) return
    const is = await readMachine(mark)
    const steps = stepsBetween(is, shapeOf(realm, wholeOf(book)))
    const count = (is.alien || is.disordered ? 1 : 0) + is.strangers.length + is.strangeTables.length + Object.values(steps).reduce((sum, some) => sum + ('size' in some ? some.size : some.length), 0)
    if (count === 0) return
    home.log.warn('somebody changed the network of this server, and it is set right', { rules: is.alien || is.disordered, taps: steps.taps.length, bridges: steps.bridges.length, elements: steps.added.size + steps.removed.length })
    await converge(book)
  }
  let suspected = false
  let closed = false
  const suspect = () => {
    if (suspected || closed) return
    suspected = true
    // What is removed together is told one by one.
    world.after(settleMs, () => {
      suspected = false
      inTurn(mend).catch((fault: unknown) => home.log.error('the network could not be set right', { why: String(fault) }))
    })
  }
  const isOurs = (name: string) => book !== undefined && (book.at(ipOfTap(mark, name) ?? '') !== undefined || [...book.segments().keys()].some((slice) => bridgeOf(mark, slice) === name))
  let upkeep: AsyncDisposable | undefined
  const keepUp = () => (upkeep ??= runUpkeep(home, { rules: () => (expected > 0 ? expected-- : suspect()), device: (name) => isOurs(name) && suspect(), moment: () => inTurn(() => addresses.look()) }))

  const inTurn = <T>(work: () => Promise<T>, call?: Call): Promise<T> => turns.pass(() => work().catch((fault: unknown) => asFailed(fault)), call?.signal)

  return {
    features: { addresses: true, denyOutgoing: true, isolation: true, udp: true, denyLists: true, peers: true, live: true, dhcp: addresses.usable },
    probe: () => inTurn(() => probeMachine(home, { subnet })),
    change: (wish, call) => inTurn(() => change(wish), call),
    reconcile: (all, call) =>
      inTurn(async () => {
        const reading = look()
        const wanted = linkBook(subnet)
        wanted.check({ put: all, remove: [] })
        wanted.apply({ put: all, remove: [] })
        book = undefined
        keepUp()
        const nics = all.map((link) => nicOf(mark, link))
        await converge(wanted, reading)
        book = wanted
        return nics
      }, call),
    inspect: (call) => inTurn(async () => linksIn(realm, await readMachine(mark)).map(({ id }) => id), call),
    clear: (call) =>
      inTurn(async () => {
        book = undefined
        exact = false
        // Something may go by itself between the look and the act; so look again before it counts as a failure.
        await removeAll().catch(removeAll)
        await addresses.clear()
        giveForwardingBack(home, await othersOfOurKind())
      }, call),
    leaks: (owned) => inTurn(async () => [...(await findLeaks(realm, owned)), ...addresses.processes().slice(owned.length > 0 ? 1 : 0).map(strangeServer)]),
    findings: async () => {
      const why = addresses.problem()
      return why === undefined ? [] : [{ message: `guests that ask for their address by DHCP get none: ${why}`, remedy: addresses.usable ? 'it is tried again by itself; see whether another program holds the UDP port 67' : 'apt-get install dnsmasq-base, and start the server again' }]
    },
    async [Symbol.asyncDispose]() {
      closed = true
      await upkeep?.[Symbol.asyncDispose]()
      await turns.pass(async () => machine[Symbol.asyncDispose]())
    },
  }
}

/** What `nft`, `ip` or the kernel said, as an error that may cross the contract. */
function asFailed(fault: unknown, link?: Link): never {
  if (fault instanceof TtError) throw fault
  fail('failed', `the network of this machine: ${fault instanceof Error ? fault.message : String(fault)}`, { cause: fault, ...(link ? { subject: `vm/${link.id}` } : {}) })
}

/** The link whose address, card or public port a complaint points at; of one link alone, that. */
function culpritIn(complaint: string, put: readonly Link[], mark: string): Link | undefined {
  const [, at = '', before = ''] = / at "(.*?)"(?: in "(.*)…")?$/.exec(complaint) ?? []
  const words = new Set(`${before.split(/[{,]/).at(-1)} ${at}`.split(/[\s,"{}]+/))
  const [found, ...more] = put.filter(({ ip, ports }) => [ip, tapOf(mark, ip), ...Object.values(ports).map(String)].some((word) => words.has(word)))
  if (found && more.length === 0) return found
  return put.length === 1 ? put[0] : undefined
}

/** Seen in /proc, which shows the network namespace this process is in; /sys shows that of whoever mounted it. */
const isInterface = (name: string) => existsSync(`/proc/sys/net/ipv4/conf/${name}`)

const strangeServer = ({ pid }: ProcessId) => ({ kind: 'process' as const, subject: String(pid), why: 'it gives out addresses of this server, and no link needs it' })

const withoutTables = (tables: readonly string[]) => tables.map((table) => `delete table ${table}`)

const othersOfOurKind = async () => parseTables(await runOk(['nft', '-j', 'list', 'tables'])).some((table) => /^ip tt_[a-z0-9]{5}$/.test(table))

function nicOf(mark: string, { id, mac, ip, slice, ports }: Link): Nic {
  const { ip: gateway, prefixLength } = gatewayOf(slice)
  return { id, mac, ip, prefixLength, gateway, ports: { ...ports }, kind: 'tap', tap: tapOf(mark, ip) }
}
