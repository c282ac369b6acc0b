import { readTextNow } from '../../../base/files.ts'
import { type Cidr, cidrOf, holds, ipv4Of } from '../../../base/ipv4.ts'
import { type NetDevice, readNetDevices } from '../../../base/net-devices.ts'
import { run, runOk } from '../../../base/run.ts'
import type { Link } from '../network.ts'
import { bridgePrefix, doomedGroup, interfacePrefix, ipOfTap, sliceOfGateway, tableOf, tapPrefix } from './names.ts'
import { denyList } from '../deny.ts'
import type { Segment } from '../segments.ts'
import { addLink, addSlice, chains, type Elements, type Realm, ruleNames, type SetName, sets } from './ruleset.ts'
import type { Shape } from './shape.ts'

/** What the machine itself says of one server: nothing here comes from memory or a file. */
export interface Machine extends Shape {
  /** Interfaces of this mark that are neither its tap nor its bridge. */
  strangers: string[]
  /** Tables of this mark, with their family; and those that we never made. */
  tables: string[]
  strangeTables: string[]
  /** A table of ours holds what we never make: another version of us, or another hand. It is made anew. */
  alien: boolean
  /** How many rules there are, and whether some of ours are missing or others were added. */
  rules: number
  disordered: boolean
}

/** Reads everything that carries the mark. */
export async function readMachine(mark: string): Promise<Machine> {
  const [interfaces, tables] = await Promise.all([hasInterfaces(mark) ? readNetDevices() : [], readTables(mark)])
  const ours = tables.filter((table) => isOurTable(mark, table))
  const listed = await Promise.all(ours.map(async (table) => parseTable(await listTable(table))))
  const elements: Elements = new Map(listed.flatMap(({ elements }) => [...elements]))
  const shape = parseShape(mark, interfaces, elements)
  await askOwners(shape.taps, elements)
  return {
    ...shape,
    elements,
    tables: ours,
    strangeTables: tables.filter((table) => !isOurTable(mark, table)),
    alien: listed.some(({ alien }) => alien),
    rules: listed.reduce((sum, { rules }) => sum + rules.length, 0),
    disordered: listed.flatMap(({ rules }) => rules).sort().join() !== ruleNames(),
  }
}

/** Whether there is any of ours at all, told by the kernel without a program. */
const hasInterfaces = (mark: string): boolean => new RegExp(`^ *${interfacePrefix(mark)}`, 'm').test(readTextNow('/proc/net/dev') ?? '')

/** Tables of all families whose name is of this mark: `ip tt_12345`. */
async function readTables(mark: string): Promise<string[]> {
  return parseTables(await runOk(['nft', '-j', 'list', 'tables'])).filter((table) => {
    const name = table.slice(table.indexOf(' ') + 1)
    return name === tableOf(mark) || name.startsWith(`${tableOf(mark)}_`)
  })
}

/** The answer of `nft -j list tables`. */
export const parseTables = (json: string): string[] =>
  entriesOf(json).flatMap(({ table }) => (table === undefined ? [] : [`${String(table.family)} ${String(table.name)}`]))

const isOurTable = (mark: string, table: string): boolean => table === `ip ${tableOf(mark)}` || table === `bridge ${tableOf(mark)}`

/** As JSON; empty if it went meanwhile. */
async function listTable(table: string): Promise<string> {
  const { code, stdout } = await run(['nft', '-j', 'list', 'table', ...(table.split(' ') as [string, string])])
  return code === 0 ? stdout : '{"nftables": []}'
}

interface Entry {
  table?: Record<string, unknown>
  rule?: { chain: string }
  map?: Listed
  set?: Listed
  chain?: { name: string; family: string; type?: string; hook?: string; prio?: number; policy?: string }
}
interface Listed {
  name: string
  family: string
  type: string | string[]
  map?: string
  flags?: string[]
  elem?: unknown[]
}

const entriesOf = (json: string): Entry[] => (JSON.parse(json) as { nftables: Entry[] }).nftables

/** The answer of `nft -j list table`: its elements as we write them, the chain of each rule, and whether there is anything that is not ours. */
export function parseTable(json: string): { elements: Elements; rules: string[]; alien: boolean } {
  const elements: Elements = new Map()
  const rules: string[] = []
  let alien = false
  for (const { map, set = map, chain, rule } of entriesOf(json)) {
    if (rule) rules.push(rule.chain)
    if (chain) {
      const known = Object.hasOwn(chains, chain.name) ? chains[chain.name as keyof typeof chains] : undefined
      const wanted = known && (known.hook === undefined ? [known.family] : [known.family, known.type, known.hook, known.priority, 'accept'])
      const is = [chain.family, chain.type, chain.hook, chain.prio, chain.policy].filter((part) => part !== undefined)
      if (is.join() !== wanted?.join()) alien = true
    }
    if (!set) continue
    const known = Object.hasOwn(sets, set.name) ? sets[set.name as SetName] : undefined
    const type = [[set.type].flat().join(' . '), ...(set.map === undefined ? [] : [set.map])].join(' : ')
    if (known?.family !== set.family || known.type !== type || (known.interval ? 'interval' : '') !== (set.flags ?? []).join()) alien = true
    else for (const element of set.elem ?? []) addElement(elements, set.name as SetName, element)
  }
  return { elements, rules, alien }
}

function addElement(elements: Elements, set: SetName, element: unknown): void {
  const { val, comment } = isRecord(element) && isRecord(element.elem) ? element.elem : { val: element, comment: undefined }
  const [left, right] = set === 'public' && Array.isArray(val) ? val : [val, undefined]
  const key = partsOf(left).map((part, at) => (set === 'within' || ((set === 'cards' || set === 'askers') && at === 0) ? `"${part}"` : part))
  const rest = right === undefined ? '' : ` : ${partsOf(right).join(' . ')}`
  elements.set(`${set} ${key.join(' . ')}`, `${key.join(' . ')}${rest}${typeof comment === 'string' ? ` comment "${comment}"` : ''}`)
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)
const partsOf = (value: unknown): string[] => (isRecord(value) && Array.isArray(value.concat) ? value.concat : [value]).map(partOf)
/** A prefix is `{prefix: {addr, len}}`; any other range is none of ours, and whatever it reads as explains nothing. */
const partOf = (value: unknown): string =>
  isRecord(value) && isRecord(value.prefix) ? `${String(value.prefix.addr)}/${String(value.prefix.len)}` : typeof value === 'object' ? JSON.stringify(value) : String(value)

/** Interfaces of the mark as bridges, taps and strangers. Whom a tap belongs to is told by its card among the elements. */
export function parseShape(mark: string, interfaces: readonly NetDevice[], elements: Elements): Pick<Machine, 'bridges' | 'taps' | 'strangers'> {
  const owners = new Map(cardsIn(elements).map(({ tap, owner }) => [tap, owner]))
  const found: Pick<Machine, 'bridges' | 'taps' | 'strangers'> = { bridges: new Map(), taps: new Map(), strangers: [] }
  for (const { name, up, master = '', group, mac = '', addresses } of interfaces) {
    if (name.startsWith(bridgePrefix(mark))) found.bridges.set(name, { address: addresses.join(), mac, up })
    else if (name.startsWith(tapPrefix(mark))) {
      const owner = owners.get(name)
      const doomed = group === doomedGroup(mark)
      found.taps.set(name, { bridge: master, up, ...(owner === undefined ? {} : { owner }), ...(doomed ? { doomed } : {}) })
    } else if (name.startsWith(interfacePrefix(mark))) found.strangers.push(name)
  }
  return found
}

/**
 * Fills in whom taps without a card belong to, so that taps of running guests live on when somebody flushed all rules of the machine. Not asked
 * for all: `ip -d` writes four times as much and, whatever its flags, the user's name where it has one.
 */
async function askOwners(taps: Shape['taps'], elements: Elements): Promise<void> {
  const known = new Set(cardsIn(elements).map(({ tap }) => tap))
  if ([...taps.keys()].every((name) => known.has(name))) return
  const owners = parseOwners(await runOk(['ip', '-j', '-d', 'link', 'show', 'type', 'tun']), readTextNow('/etc/passwd') ?? '')
  for (const [name, tap] of taps) {
    const owner = known.has(name) ? undefined : owners.get(name)
    if (owner !== undefined) tap.owner = owner
  }
}

/** Users of taps from the answer of `ip -j -d link`; -1 for a name that `passwd` does not know. */
export function parseOwners(json: string, passwd: string): Map<string, number> {
  const links = JSON.parse(json) as { ifname?: string; linkinfo?: { info_data?: { user?: string | number } } }[]
  const numbers = new Map(passwd.split('\n').map((line) => [line.split(':')[0], Number(line.split(':')[2])]))
  return new Map(
    links.flatMap(({ ifname = '', linkinfo }) => {
      const user = linkinfo?.info_data?.user
      return user === undefined ? [] : [[ifname, typeof user === 'number' ? user : (numbers.get(user) ?? -1)]]
    }),
  )
}

interface Card {
  id: string
  tap: string
  mac: string
  ip: string
  owner?: number
}

/** Who is who, from the set `cards`. */
function cardsIn(elements: Elements): Card[] {
  return [...elements].flatMap(([key, text]) => {
    if (!key.startsWith('cards ')) return []
    const [, tap = '', mac = '', ip = '', id = '', owner] = /^"(\S+)" \. (\S+) \. (\S+)(?: comment "([^"/]*)(?:\/(\d+))?")?$/.exec(text) ?? []
    return [{ id, tap, mac, ip, ...(owner === undefined ? {} : { owner: Number(owner) }) }]
  })
}

/** The links of which everything is there; what is half there is nobody's. */
export function linksIn(realm: Realm, machine: Shape): Link[] {
  const { mark } = realm
  const ports = new Map<string, Record<number, number>>()
  for (const text of textsIn(machine, 'public')) {
    const [, outer, ip = '', inner] = /^(\d+) : (\S+) \. (\d+)$/.exec(text) ?? []
    if (outer !== undefined) ports.set(ip, { ...ports.get(ip), [Number(inner)]: Number(outer) })
  }
  const near = pairsIn(machine, 'near')
  const denied = pairsIn(machine, 'denied')
  const subnet = cidrOf(realm.subnet) as Cidr
  const segments = segmentsIn(subnet, machine)
  return cardsIn(machine.elements).flatMap(({ id, tap, mac, ip, owner }) => {
    const is = machine.taps.get(tap)
    const bridge = machine.bridges.get(is?.bridge ?? '')
    const slice = bridge && sliceOfGateway(bridge.address)
    if (!is?.up || is.doomed || !bridge?.up || slice === undefined || ipOfTap(mark, tap) !== ip || !isIn(ip, slice)) return []
    const segment = { peers: segments.peers.get(is.bridge) ?? [], far: segments.far.get(slice) ?? [] }
    const far = machine.elements.has(`apart ${ip}`) ? denied.get(ip) : segment.far
    const deny = denyList(subnet, [...(near.get(ip) ?? []), ...(far ?? [])])
    const link: Link = { id, slice, ip, mac, ports: ports.get(ip) ?? {}, denyOutgoing: machine.elements.has(`deny_out ${ip}`), deny, peers: segment.peers }
    if (owner !== undefined) link.owner = owner
    const wanted: Elements = new Map()
    addSlice(wanted, realm, { slice, segment })
    addLink(wanted, realm, { link, segment })
    return [...wanted].every(([key, text]) => machine.elements.get(key) === text) ? [link] : []
  })
}

/** What holds for slices as a whole: peers by bridge, and what is denied by slice. */
function segmentsIn(subnet: Cidr, machine: Shape): { peers: Map<string, string[]>; far: Map<string, Segment['far']> } {
  const peers = new Map<string, string[]>()
  for (const text of textsIn(machine, 'within')) {
    const [, bridge, peer] = /^"(\S+)" \. "\S+" comment "(\S+)"$/.exec(text) ?? []
    if (bridge !== undefined && peer !== undefined) peers.set(bridge, [...(peers.get(bridge) ?? []), peer].sort())
  }
  const far = [...pairsIn(machine, 'denied_all')].map(([slice, list]) => [slice, denyList(subnet, list)] as const)
  return { peers, far: new Map(far) }
}

function pairsIn(machine: Shape, set: SetName): Map<string, string[]> {
  const pairs = new Map<string, string[]>()
  for (const text of textsIn(machine, set)) {
    const [one = '', other = ''] = text.split(' . ')
    pairs.set(one, [...(pairs.get(one) ?? []), other])
  }
  return pairs
}

const textsIn = ({ elements }: Shape, set: SetName): string[] => [...elements].flatMap(([key, text]) => (key.startsWith(`${set} `) ? [text] : []))

function isIn(ip: string, slice: string): boolean {
  const range = cidrOf(slice)
  const address = ipv4Of(ip)
  return range !== undefined && address !== undefined && holds(range, address)
}
