import type { Link } from '../network.ts'
import { bridgeOf, bridgePrefix, tableOf, tapOf, tapPrefix } from './names.ts'

/**
 * Two tables: `ip` forwards, translates and denies; `bridge` keeps every guest to its own address and MAC. Rules are constant;
 * what there is of VMs is elements of these sets.
 */
export const sets = {
  /** Public port to guest and inner port, TCP and UDP. */
  public: { family: 'ip', type: 'inet_service : ipv4_addr . inet_service' },
  /** The same pairs without the inner port: a flow whose pair is not here any more is cut though the kernel still knows it. */
  open: { family: 'ip', type: 'inet_service . ipv4_addr' },
  /** Guests that may not begin to talk to anything outside their segment. */
  deny_out: { family: 'ip', type: 'ipv4_addr' },
  /** Each bridge with itself: traffic that only seems to be forwarded. */
  within: { family: 'ip', type: 'ifname . ifname' },
  /** Tap, MAC and address that belong together; the comment says whose they are. */
  cards: { family: 'bridge', type: 'ifname . ether_addr . ipv4_addr' },
} as const

export type SetName = keyof typeof sets

/** Chains by name: their hook, and the priority as the number that `nft -j` answers. */
export const chains = {
  early: { family: 'ip', type: 'filter', hook: 'prerouting', priority: -300 },
  arriving: { family: 'ip', type: 'nat', hook: 'prerouting', priority: -100 },
  local: { family: 'ip', type: 'nat', hook: 'output', priority: -100 },
  through: { family: 'ip', type: 'filter', hook: 'forward', priority: 0 },
  here: { family: 'ip', type: 'filter', hook: 'input', priority: 0 },
  sending: { family: 'ip', type: 'filter', hook: 'postrouting', priority: 0 },
  leaving: { family: 'ip', type: 'nat', hook: 'postrouting', priority: 100 },
  enter: { family: 'bridge', type: 'filter', hook: 'prerouting', priority: -300 },
} as const

const rules = ({ mark, subnet }: { mark: string; subnet: string }): Record<keyof typeof chains, string[]> => {
  const bridges = `"${bridgePrefix(mark)}*"`
  const forward = 'fib daddr type local meta l4proto { tcp, udp } dnat ip to th dport map @public'
  const stale = (protocol: string) =>
    `ip daddr ${subnet} meta l4proto ${protocol} ct status dnat ct direction original ct original proto-dst . ip daddr != @open drop`
  return {
    // route_localnet lets answers to 127.0.0.1 back in, and would let guests reach what listens there only (CVE-2020-8558 was that).
    early: [`iifname ${bridges} ip daddr 127.0.0.0/8 drop`, `iifname ${bridges} ip saddr != ${subnet} drop`],
    arriving: [forward],
    local: [forward],
    through: [
      'ct state established,related accept',
      // Only seen here where net.bridge.bridge-nf-call-iptables is on, as Docker sets it.
      'iifname . oifname @within ct status ! dnat accept',
      'ip saddr @deny_out drop',
      `ip daddr ${subnet} ct status ! dnat drop`,
    ],
    here: ['ct state established,related accept', 'ip saddr @deny_out drop'],
    sending: [stale('tcp'), stale('udp')],
    leaving: [
      `ip saddr 127.0.0.0/8 oifname ${bridges} masquerade`,
      `ip saddr ${subnet} ip daddr != ${subnet} masquerade`,
      // A guest that calls a public port of its own segment must hear the answer from the host, not from its neighbour.
      `ip saddr ${subnet} ip daddr ${subnet} ct status dnat masquerade`,
    ],
    enter: [
      `iifname != "${tapPrefix(mark)}*" accept`,
      'iifname . ether saddr . ip saddr @cards accept',
      'iifname . ether saddr . arp saddr ip @cards iifname . arp saddr ether . arp saddr ip @cards accept',
      'drop',
    ],
  }
}

/** Statements that make both tables hold exactly our rules and leave the elements of their sets alone. */
export function baseRuleset(options: { mark: string; subnet: string }): string[] {
  const table = tableOf(options.mark)
  const kind = (set: SetName) => (set === 'public' ? 'map' : 'set')
  return [
    ...families.map((family) => `add table ${family} ${table}`),
    ...entriesOf(sets).map(([name, { family, type }]) => `add ${kind(name)} ${family} ${table} ${name} { type ${type}; }`),
    ...entriesOf(chains).map(
      ([name, { family, type, hook, priority }]) =>
        `add chain ${family} ${table} ${name} { type ${type} hook ${hook} priority ${priority}; policy accept; }`,
    ),
    ...families.map((family) => `flush table ${family} ${table}`),
    ...entriesOf(rules(options)).flatMap(([chain, lines]) => lines.map((line) => `add rule ${chains[chain].family} ${table} ${chain} ${line}`)),
  ]
}

/** Statements after which there are no tables of this server, whether or not there were some. */
export const noRuleset = (mark: string): string[] =>
  families.flatMap((family) => [`add table ${family} ${tableOf(mark)}`, `delete table ${family} ${tableOf(mark)}`])

/** Elements by set and key (`public 40000`): what follows `add element … {`. */
export type Elements = Map<string, string>

/** The elements of one link. */
export function elementsOf(mark: string, { id, slice, ip, mac, ports, denyOutgoing, owner }: Link): [key: string, text: string][] {
  const tap = `"${tapOf(mark, ip)}"`
  const bridge = `"${bridgeOf(mark, slice)}"`
  const found: [SetName, key: string, rest?: string][] = [
    ['within', `${bridge} . ${bridge}`],
    ['cards', `${tap} . ${mac} . ${ip}`, ` comment "${owner === undefined ? id : `${id}/${owner}`}"`],
  ]
  if (denyOutgoing) found.push(['deny_out', ip])
  for (const [inner, outer] of Object.entries(ports)) {
    found.push(['public', String(outer), ` : ${ip} . ${inner}`])
    found.push(['open', `${outer} . ${ip}`])
  }
  return found.map(([set, key, rest = '']) => [`${set} ${key}`, key + rest])
}

/** Elements of one statement: enough to be fast, few enough that a complaint about one can be read. */
const perStatement = 500

/** Statements that take elements away and then add others. All or none of a transaction's statements take effect. */
export function elementStatements(mark: string, { removed, added }: { removed: readonly string[]; added: Elements }): string[] {
  const keys = new Map(removed.map((key) => [key, key.slice(key.indexOf(' ') + 1)]))
  return [...statements('delete', mark, keys), ...statements('add', mark, added)]
}

function statements(verb: string, mark: string, elements: Elements): string[] {
  const bySet = Map.groupBy(elements, ([key]) => key.slice(0, key.indexOf(' ')) as SetName)
  return [...bySet].flatMap(([set, entries]) =>
    Array.from({ length: Math.ceil(entries.length / perStatement) }, (_, at) => {
      const texts = entries.slice(at * perStatement, (at + 1) * perStatement).map(([, text]) => text)
      return `${verb} element ${sets[set].family} ${tableOf(mark)} ${set} { ${texts.join(', ')} }`
    }),
  )
}

const families = ['ip', 'bridge'] as const
const entriesOf = <K extends string, V>(record: Record<K, V>) => Object.entries(record) as [K, V][]
