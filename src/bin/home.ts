import { createHash, timingSafeEqual } from 'node:crypto'
import { chmodSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { homedir, hostname } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { readTextNow, writeWhole } from '../base/files.ts'
import { clashes, readRoutes } from '../base/routes.ts'
import { randomHex, type World } from '../base/world.ts'
import { parseIp } from '../host/addresses.ts'
import { fail, reasonOf } from '../model/errors.ts'

/** What a server keeps of itself between its lives, besides its store: chosen once, so that two on one machine never share. */
export interface Place {
  /** Its name among hosts. */
  name: string
  subnet: string
  portFrom: number
  portTo: number
  /** Kept, so that a server that moves to another address or port still finds its things on the machine. */
  mark?: string
}

/** Where a server for this address keeps its things unless told otherwise. */
export function defaultDataDir(address: string, port: number, env: NodeJS.ProcessEnv): string {
  const name = `${address.replaceAll(/[^A-Za-z0-9.-]/g, '_')}-${port}`
  if (process.getuid?.() === 0) return join('/var/lib/tt', name)
  return join(env['XDG_DATA_HOME'] ?? join(homedir(), '.local/share'), 'tt', name)
}

/** Makes the data directory. Others may pass through it, because VMs run as users of their own, but not read it. */
export function makeDataDir(dir: string): string {
  const path = resolve(dir)
  try {
    mkdirSync(path, { recursive: true, mode: 0o711 })
    chmodSync(path, 0o711)
    mkdirSync(join(path, 'store'), { recursive: true, mode: 0o700 })
  } catch (fault) {
    fail('failed', `the data directory ${path} cannot be made: ${reasonOf(fault)}`, { subject: 'server', remedy: 'give another with --data-dir' })
  }
  return path
}

/** Five letters and digits that name this server's things on the machine: the same over restarts, different for any other server. */
export function markOf(address: string, port: number, dataDir: string): string {
  const kept = readPlace(join(dataDir, 'place.json'))?.mark
  if (kept !== undefined && /^[a-z0-9]{5}$/.test(kept)) return kept
  const hash = createHash('sha256').update(`${address}\n${port}\n${dataDir}`).digest()
  return (BigInt(`0x${hash.subarray(0, 8).toString('hex')}`) % 36n ** 5n).toString(36).padStart(5, '0')
}

const portRanges = Array.from({ length: 5 }, (_, at) => ({ portFrom: 40_000 + at * 4000, portTo: 43_999 + at * 4000 }))

/** Where a server chooses its subnet. */
const ownSubnets = Array.from({ length: 128 }, (_, at) => `10.${64 + at}.0.0/16`)

/** Those of them that this machine has another use for. Bridges of the mark are no other use. */
export async function clashingSubnets(mark: string): Promise<ReadonlySet<string>> {
  const routes = await readRoutes().catch(() => []) // Without `ip` there is no driver that would take a subnet.
  return new Set(ownSubnets.filter((subnet) => clashes(routes, subnet, (dev) => dev.startsWith(`tt${mark}`)).length > 0))
}

/**
 * The server's place: what it chose in an earlier life, or what the mark picks out of 10.64.0.0 to 10.191.0.0 and the port ranges,
 * leaving out what servers with a data directory beside this one have. `avoid` names subnets that clash on this machine.
 */
export function placeOf(dataDir: string, mark: string, given: Partial<Place>, avoid: ReadonlySet<string> = new Set()): Place {
  const file = join(dataDir, 'place.json')
  const known = readPlace(file)
  const others = neighbours(dataDir)
  const start = Number.parseInt(mark, 36)
  const subnets = ownSubnets.map((_, at) => ownSubnets[(start + at) % ownSubnets.length] as string)
  const kept = known && !avoid.has(known.subnet) ? known.subnet : undefined
  const subnet = given.subnet ?? kept ?? subnets.find((one) => !avoid.has(one) && !others.some((other) => other.subnet === one))
  const ranges = portRanges.map((_, at) => portRanges[(start + at) % portRanges.length] as (typeof portRanges)[number])
  const range = given.portFrom !== undefined && given.portTo !== undefined ? { portFrom: given.portFrom, portTo: given.portTo } : (known ?? ranges.find((one) => !others.some((other) => other.portFrom <= one.portTo && one.portFrom <= other.portTo)))
  if (subnet === undefined) fail('exhausted', 'no subnet from 10.64.0.0/16 to 10.191.0.0/16 is free on this machine', { subject: 'server', remedy: 'give one with --subnet' })
  if (!range) fail('exhausted', 'other servers on this machine have all public ports from 40000 to 59999', { subject: 'server', remedy: 'give a range with --port-range' })
  const place: Place = { name: known?.name ?? hostName(dataDir), subnet, portFrom: range.portFrom, portTo: range.portTo, mark }
  if (JSON.stringify(place) !== JSON.stringify(known)) writeWhole(file, `${JSON.stringify(place, null, 2)}\n`, { mode: 0o644, durable: true })
  return place
}

function readPlace(file: string): Place | undefined {
  const text = readTextNow(file)
  if (text === undefined) return undefined
  try {
    const place = JSON.parse(text) as Place
    if (typeof place.name === 'string' && typeof place.subnet === 'string' && Number.isInteger(place.portFrom) && Number.isInteger(place.portTo)) return place
  } catch {
    // Said below.
  }
  fail('failed', `${file} is not readable as a server's place`, { subject: 'server', remedy: 'remove it while no VM of this server runs; it is made anew' })
}

function neighbours(dataDir: string): Place[] {
  const above = dirname(dataDir)
  return readdirSync(above).flatMap((name) => {
    if (join(above, name) === dataDir) return []
    try {
      return readPlace(join(above, name, 'place.json')) ?? []
    } catch {
      return []
    }
  })
}

/** The machine's name, with a part of the data directory's so that two servers on it differ. */
function hostName(dataDir: string): string {
  const machine = hostname().split('.')[0]?.replaceAll(/[^A-Za-z0-9-]/g, '-') ?? 'host'
  return `${machine}-${dataDir.split('/').at(-1)?.replace(/^.*-/, '').replaceAll(/[^A-Za-z0-9-]/g, '-')}`.slice(0, 63)
}

/** The admin token, made at the first start; only this user can read it. */
export function adminToken(dataDir: string, world: World): string {
  const file = join(dataDir, 'token')
  if ((readTextNow(file) ?? '') === '') writeWhole(file, `${randomHex(world, 32)}\n`, { mode: 0o600, durable: true })
  chmodSync(file, 0o600)
  const token = readFileSync(file, 'utf8').trim()
  if (token.length < 32) fail('failed', `${file} holds no token`, { subject: 'server', remedy: 'remove it; the server makes a new one' })
  return token
}

/** Whether a caller's token is this one, in a time that does not depend on where they differ. */
export function tokenCheck(token: string): (given: string) => boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  const wanted = digest(token)
  return (given) => timingSafeEqual(digest(given), wanted)
}

/** VMs run as users from here on, each as its own; nobody else on a machine has ids so high. */
const uidBase = 0x4000_0000

/** The user of the VM with this address, or none where the server itself may not change users. */
export const uidOf = (ip: string): number | undefined => (process.getuid?.() === 0 ? uidBase + (parseIp(ip) % 2 ** 24) : undefined)
