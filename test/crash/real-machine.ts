import { execFileSync } from 'node:child_process'
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { cgroupDirs } from '../e2e/ground.ts'
import { type Machine, rowsOf } from './machine.ts'

/**
 * What really lies on a machine with QEMU, nftables and qcow2: read from `/proc`, `ip`, `nft` and the files by this code alone. `strays` are things of
 * this server's that belong to none of its VMs, or are there once too often.
 */
export function realMachine(dataDir: string, mark: string): { machine: Machine; strays: string[] } {
  const strays: string[] = []
  const store = rowsOf(join(dataDir, 'store/store.sqlite'))
  const running = new Map<string, number>()
  for (const pid of list('/proc')) {
    const id = new RegExp(`\\0-name\\0tt-${mark}-([a-z0-9]+\\.\\d+)-`).exec(`\0${text(`/proc/${pid}/cmdline`)}`)?.[1]
    if (id === undefined) continue
    if (running.has(id)) strays.push(`two processes run ${id}: ${running.get(id)} and ${pid}`)
    running.set(id, Number(pid))
  }
  // A guest that does not run is a directory of the engine's.
  const guests: Machine['guests'] = new Map(list(join(dataDir, 'engine/qemu')).map((id) => [id, { runs: running.has(id) ? [{ from: 0 }] : [] }]))
  for (const id of running.keys()) if (!guests.has(id)) strays.push(`${id} runs and its engine has no directory for it`)

  const links: Machine['links'] = new Map()
  const taps = new Set(interfaces(mark, 't'))
  const { cards, publics, denied, denyOf } = elements(mark)
  for (const { tap, mac, ip, id } of cards) {
    const { slice = '' } = (store.get(`actual/vm/${id}`) as { slice?: string } | undefined) ?? {}
    const ports = Object.fromEntries(publics.filter((one) => one.ip === ip).map(({ outer, inner }) => [inner, outer]))
    links.set(id, { slice, ip, mac, ports, denyOutgoing: denied.has(ip), deny: denyOf(ip, slice) })
    if (!taps.delete(tap)) strays.push(`${id} has no tap ${tap}`)
  }
  strays.push(...[...taps].map((tap) => `the tap ${tap} is nobody's`))
  for (const { ip, outer } of publics) if (!cards.some((card) => card.ip === ip)) strays.push(`the public port ${outer} leads to ${ip}, which is nobody's`)
  for (const ip of denied) if (!cards.some((card) => card.ip === ip)) strays.push(`${ip} may not go out and is nobody's`)
  if (links.size === 0) strays.push(...interfaces(mark, 'b').map((bridge) => `the bridge ${bridge} is left`))
  for (const dir of cgroupDirs(mark)) if (!running.has(dir.slice(dir.lastIndexOf('/') + 1))) strays.push(`the cgroup ${dir} is left`)
  return { machine: { guests, links, volumes: volumes(join(dataDir, 'volume/qcow2')), store }, strays }
}

/** Names of interfaces of this server's: `t` for taps, `b` for bridges. */
function interfaces(mark: string, kind: 't' | 'b'): string[] {
  const all = JSON.parse(execFileSync('ip', ['-j', 'link'], { encoding: 'utf8' })) as { ifname: string }[]
  return all.flatMap(({ ifname }) => (ifname.startsWith(`tt${mark}${kind}`) ? [ifname] : []))
}

interface NftSet {
  table: string
  name: string
  elem?: unknown[]
}

function elements(mark: string) {
  const { nftables } = JSON.parse(execFileSync('nft', ['-j', 'list', 'ruleset'], { encoding: 'utf8' })) as { nftables: { map?: NftSet; set?: NftSet }[] }
  const of = (name: string) => nftables.flatMap(({ map, set }) => [map, set]).find((one) => one?.name === name && one.table.includes(mark))?.elem ?? []
  const cards = (of('cards') as { elem: { val: { concat: [string, string, string] }; comment: string } }[]).map(({ elem: { val, comment } }) => {
    const [tap, mac, ip] = val.concat
    return { tap, mac, ip, id: comment.split('/')[0] ?? '' }
  })
  const publics = (of('public') as [number, { concat: [string, number] }][]).map(([outer, { concat: [ip, inner] }]) => ({ outer, ip, inner }))
  // A list is the guest's own if it is set apart, else that of its slice.
  const lists = (name: string) => (of(name) as { concat: [Range, Range] }[]).map(({ concat }) => concat.map(textOf))
  const apart = new Set(of('apart') as string[])
  const denyOf = (ip: string, slice: string) => lists(apart.has(ip) ? 'denied' : 'denied_all').flatMap(([who, what = '']) => (who === (apart.has(ip) ? ip : slice) ? [what] : []))
  return { cards, publics, denied: new Set(of('deny_out') as string[]), denyOf }
}

type Range = string | { prefix: { addr: string; len: number } }
const textOf = (range: Range) => (typeof range === 'string' ? range : `${range.prefix.addr}/${range.prefix.len}`)

/** Virtual sizes, from the header: https://www.qemu.org/docs/master/interop/qcow2.html */
function volumes(dir: string): Machine['volumes'] {
  return new Map(
    list(dir).flatMap((name): [string, { sizeBytes: number }][] => {
      const header = headerOf(join(dir, name))
      return header ? [[name.replace(/\.qcow2$/, ''), { sizeBytes: Number(header.readBigUInt64BE(24)) }]] : []
    }),
  )
}

/** Undefined for a file that was given its name, or went, since its directory was read: the server works on while it is looked at. */
function headerOf(file: string): Buffer | undefined {
  const header = Buffer.alloc(32)
  try {
    const fd = openSync(file, 'r')
    readSync(fd, header)
    closeSync(fd)
    return header
  } catch (fault) {
    if ((fault as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw fault
  }
}

const list = (dir: string) => (existsSync(dir) ? readdirSync(dir) : [])

function text(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return '' // It ended while we were looking.
  }
}
