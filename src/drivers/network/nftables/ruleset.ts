import { type Cidr, cidrOf } from '../../../base/ipv4.ts'
import { denyParts } from '../deny.ts'
import type { Link } from '../network.ts'
import type { Segment } from '../segments.ts'
import { bridgeOf, bridgePrefix, tableOf, tapOf, tapPrefix } from './names.ts'

/** Whose rules they are, and the range all guests are in. */
export interface Realm {
  mark: string
  subnet: string
}

/** `chaddr` of a DHCP message, 28 bytes after the UDP header: https://www.rfc-editor.org/rfc/rfc2131#section-2 */
const askedMac = '@th,288,48'
const dhcpCall = 'udp sport 68 udp dport 67'

/**
 * Two tables: `ip` forwards, translates and denies; `bridge` keeps every guest to its own address and MAC. Rules are constant;
 * what there is of VMs is elements of these sets.
 */
export const sets: Record<SetName, SetSpec> = {
  /** Public port to guest and inner port, TCP and UDP. */
  public: { family: 'ip', type: 'inet_service : ipv4_addr . inet_service' },
  /** The same pairs without the inner port: a flow whose pair is not here any more is cut though the kernel still knows it. */
  open: { family: 'ip', type: 'inet_service . ipv4_addr' },
  /** Guests that may not begin to talk to anything outside their segment and its peers. */
  deny_out: { family: 'ip', type: 'ipv4_addr' },
  /** Slice and what guests of it may not begin to talk to; one for all of them, for most have the same list. */
  denied_all: { family: 'ip', type: 'ipv4_addr . ipv4_addr', interval: true },
  /** Guests whose list is not that of their slice; and guest and what is on its own list. */
  apart: { family: 'ip', type: 'ipv4_addr' },
  denied: { family: 'ip', type: 'ipv4_addr . ipv4_addr', interval: true },
  /** Bridge and bridge, from and to: each with itself, for traffic that only seems to be forwarded, and with its peers. */
  within: { family: 'ip', type: 'ifname . ifname' },
  /** Tap, MAC and address that belong together; the comment says whose they are. */
  cards: { family: 'bridge', type: 'ifname . ether_addr . ipv4_addr' },
  /** Guest and addresses of guests it may not exchange anything with. */
  near: { family: 'bridge', type: 'ipv4_addr . ipv4_addr', interval: true },
  /** Tap, MAC, and that MAC again as a number, for it also stands in what a guest asks by DHCP. */
  askers: { family: 'bridge', type: 'ifname . ether_addr . integer', typeOf: `iifname . ether saddr . ${askedMac}` },
}

export type SetName = 'public' | 'open' | 'deny_out' | 'denied_all' | 'apart' | 'denied' | 'within' | 'cards' | 'near' | 'askers'
interface SetSpec {
  family: 'ip' | 'bridge'
  /** As `nft -j` answers. */
  type: string
  /** How it is made, where no name of a type says it. */
  typeOf?: string
  /** Its elements are ranges. */
  interval?: true
}

/** Chains by name: their hook, and the priority as the number that `nft -j` answers; one without a hook is jumped to. */
export const chains: Record<ChainName, ChainSpec> = {
  early: { family: 'ip', type: 'filter', hook: 'prerouting', priority: -300 },
  arriving: { family: 'ip', type: 'nat', hook: 'prerouting', priority: -100 },
  local: { family: 'ip', type: 'nat', hook: 'output', priority: -100 },
  through: { family: 'ip', type: 'filter', hook: 'forward', priority: 0 },
  here: { family: 'ip', type: 'filter', hook: 'input', priority: 0 },
  sending: { family: 'ip', type: 'filter', hook: 'postrouting', priority: 0 },
  leaving: { family: 'ip', type: 'nat', hook: 'postrouting', priority: 100 },
  limits: { family: 'ip' },
  enter: { family: 'bridge', type: 'filter', hook: 'prerouting', priority: -300 },
}

type ChainName = 'early' | 'arriving' | 'local' | 'through' | 'here' | 'sending' | 'leaving' | 'limits' | 'enter'
type ChainSpec = { family: 'ip' | 'bridge' } & ({ type: 'filter' | 'nat'; hook: string; priority: number } | { hook?: undefined })

const rules = ({ mark, subnet }: Realm): Record<ChainName, string[]> => {
  const bridges = `"${bridgePrefix(mark)}*"`
  const forward = 'fib daddr type local meta l4proto { tcp, udp } dnat ip to th dport map @public'
  const gone = (protocol: string, direction: string, guest: string) =>
    `ip ${guest} ${subnet} meta l4proto ${protocol} ct status dnat ct direction ${direction} ct original proto-dst . ip ${guest} != @open drop`
  const between = `iifname ${bridges} oifname ${bridges} ct status ! dnat`
  return {
    // route_localnet lets answers to 127.0.0.1 back in, and would let guests reach what listens there only (CVE-2020-8558 was that).
    early: [`iifname ${bridges} ip daddr 127.0.0.0/8 drop`, `iifname ${bridges} ip saddr 0.0.0.0 ${dhcpCall} accept`, `iifname ${bridges} ip saddr != ${subnet} drop`],
    arriving: [forward],
    local: [forward],
    through: [
      // Before anything that is established is accepted: what is closed is closed for all. Both ways, so that a slice given to others is no peer of theirs.
      `${between} iifname . oifname != @within drop`,
      `${between} oifname . iifname != @within drop`,
      gone('tcp', 'reply', 'saddr'),
      gone('udp', 'reply', 'saddr'),
      'ct status dnat jump limits',
      'ct status dnat ct direction original ip saddr @deny_out drop',
      // Between guests of one bridge only seen here where net.bridge.bridge-nf-call-iptables is on, as Docker sets it.
      'iifname . oifname @within oifname . iifname @within accept',
      'jump limits',
      'ct direction original ip saddr @deny_out drop',
      'ct state established,related accept',
      `ip daddr ${subnet} ct status ! dnat drop`,
      // Of what belongs to no connection the rules above know nothing, and it cannot be translated.
      `ip daddr ${subnet} ct state invalid,untracked drop`,
      `ip saddr ${subnet} ct state invalid,untracked drop`,
    ],
    here: [`iifname ${bridges} ${dhcpCall} accept`, 'jump limits', 'ct direction original ip saddr @deny_out drop', 'ip saddr @deny_out ct state invalid,untracked drop'],
    // By the addresses the conversation began with, so that it is cut in both directions, and what was called by a public port counts as called there.
    limits: [
      'ct original ip saddr . ct original ip daddr @denied drop',
      'ct original ip saddr != @apart ct original ip saddr . ct original ip daddr @denied_all drop',
    ],
    sending: [gone('tcp', 'original', 'daddr'), gone('udp', 'original', 'daddr')],
    leaving: [
      `ip saddr 127.0.0.0/8 oifname ${bridges} masquerade`,
      `ip saddr ${subnet} ip daddr != ${subnet} masquerade`,
      // A guest that calls a public port of its own segment must hear the answer from the host, not from its neighbour.
      `ip saddr ${subnet} ip daddr ${subnet} ct status dnat masquerade`,
    ],
    enter: [
      `iifname != "${tapPrefix(mark)}*" accept`,
      // Only for itself, so that nobody learns or spoils the address of another; and nobody plays the server.
      `${dhcpCall} iifname . ether saddr . ${askedMac} @askers accept`,
      'udp dport { 67, 68 } drop',
      'ip saddr . ip daddr @near drop',
      'iifname . ether saddr . ip saddr @cards accept',
      'iifname . ether saddr . arp saddr ip @cards iifname . arp saddr ether . arp saddr ip @cards accept',
      'drop',
    ],
  }
}

/** Statements that make both tables hold exactly our rules and leave the elements of their sets alone. */
export function baseRuleset(realm: Realm): string[] {
  const table = tableOf(realm.mark)
  const kind = (set: SetName) => (set === 'public' ? 'map' : 'set')
  const hookOf = (chain: ChainSpec) => (chain.hook === undefined ? '' : ` { type ${chain.type} hook ${chain.hook} priority ${chain.priority}; policy accept; }`)
  return [
    ...families.map((family) => `add table ${family} ${table}`),
    ...entriesOf(sets).map(([name, { family, type, typeOf, interval }]) => `add ${kind(name)} ${family} ${table} ${name} { ${typeOf === undefined ? `type ${type}` : `typeof ${typeOf}`};${interval ? ' flags interval;' : ''} }`),
    ...entriesOf(chains).map(([name, chain]) => `add chain ${chain.family} ${table} ${name}${hookOf(chain)}`),
    ...families.map((family) => `flush table ${family} ${table}`),
    ...entriesOf(rules(realm)).flatMap(([chain, lines]) => lines.map((line) => `add rule ${chains[chain].family} ${table} ${chain} ${line}`)),
  ]
}

/** The chain of each rule there should be, in order. */
export const ruleNames = (): string =>
  entriesOf(rules({ mark: '', subnet: '' }))
    .flatMap(([chain, lines]) => lines.map(() => chain))
    .sort()
    .join()

/** Statements after which there are no tables of this server, whether or not there were some. */
export const noRuleset = (mark: string): string[] =>
  families.flatMap((family) => [`add table ${family} ${tableOf(mark)}`, `delete table ${family} ${tableOf(mark)}`])

/** Elements by set and key (`public 40000`): what follows `add element … {`. */
export type Elements = Map<string, string>

/** Adds the elements of one link, whose slice is as `segment` says. A host may have tens of thousands, so nothing is made on the way. */
export function addLink(to: Elements, { mark, subnet }: Realm, { link, segment }: { link: Link; segment: Segment }): void {
  const { id, ip, mac, ports, denyOutgoing, deny, owner } = link
  const add = (set: SetName, key: string, rest = '') => to.set(`${set} ${key}`, key + rest)
  const tap = `"${tapOf(mark, ip)}"`
  add('cards', `${tap} . ${mac} . ${ip}`, ` comment "${owner === undefined ? id : `${id}/${owner}`}"`)
  add('askers', `${tap} . ${mac} . ${parseInt(mac.replaceAll(':', ''), 16)}`)
  if (denyOutgoing) add('deny_out', ip)
  const { near, far } = deny.length === 0 ? { near: deny, far: deny } : denyParts(cidrOf(subnet) as Cidr, deny)
  for (const address of near) add('near', `${ip} . ${address}`)
  if (far.join() !== segment.far.join()) {
    add('apart', ip)
    for (const address of far) add('denied', `${ip} . ${address}`)
  }
  for (const inner in ports) {
    const outer = ports[inner] as number
    to.set(`public ${outer}`, `${outer} : ${ip} . ${inner}`)
    to.set(`open ${outer} . ${ip}`, `${outer} . ${ip}`)
  }
}

/** Adds the elements of a slice as a whole. A bridge of a peer need not be there, and its name does not tell how long the slice is. */
export function addSlice(to: Elements, { mark }: Realm, { slice, segment }: { slice: string; segment: Segment }): void {
  const add = (set: SetName, key: string, rest = '') => to.set(`${set} ${key}`, key + rest)
  const bridge = `"${bridgeOf(mark, slice)}"`
  add('within', `${bridge} . ${bridge}`)
  for (const peer of segment.peers) add('within', `${bridge} . "${bridgeOf(mark, peer)}"`, ` comment "${peer}"`)
  for (const address of segment.far) add('denied_all', `${slice} . ${address}`)
}

/** Elements of one statement: enough to be fast, few enough that a complaint about one can be read. */
const perStatement = 500

/** Statements that take elements away and then add others. All or none of a transaction's statements take effect. */
export function elementStatements(mark: string, { removed, added }: { removed: readonly string[]; added: Elements }): string[] {
  const keys = new Map(removed.map((key) => [key, key.slice(key.indexOf(' ') + 1)]))
  return [...statements('delete', mark, keys), ...statements('add', mark, added)]
}

function statements(verb: string, mark: string, elements: Elements): string[] {
  return [...bySet(elements)].flatMap(([set, texts]) =>
    Array.from({ length: Math.ceil(texts.length / perStatement) }, (_, at) => `${verb} element ${sets[set].family} ${tableOf(mark)} ${set} { ${texts.slice(at * perStatement, (at + 1) * perStatement).join(', ')} }`),
  )
}

/** What follows `element … {`, by set. */
function bySet(elements: Elements): Map<SetName, string[]> {
  const found = new Map<SetName, string[]>()
  for (const [key, text] of elements) {
    const set = key.slice(0, key.indexOf(' ')) as SetName
    const texts = found.get(set)
    if (texts) texts.push(text)
    else found.set(set, [text])
  }
  return found
}

const families = ['ip', 'bridge'] as const
const entriesOf = <K extends string, V>(record: Record<K, V>) => Object.entries(record) as [K, V][]
