import { chmodSync, closeSync, constants, existsSync, mkdirSync, openSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readTextNow, removeAll } from '../../../base/files.ts'
import { argvOf, ended, isAlive, type ProcessId, processesWith, processOf, signalProcess, spawnDetached } from '../../../base/processes.ts'
import type { DriverHome } from '../../engine/engine.ts'
import type { Book } from '../book.ts'
import { dhcpArgv, dhcpName, hostsFile, hostsText, resolversIn } from './dhcp-words.ts'
import type { Realm } from './ruleset.ts'

/**
 * Tells guests that ask by DHCP the address they were given: one `dnsmasq` for all slices, which outlives the server as the guests do, and runs from
 * the first link to the last. It reads a file per slice by itself when that changes. Nothing here makes a change of the network fail: what is
 * wrong is told by `problem`, and a guest that knows its address by other means needs none of this.
 */
export interface Dhcp {
  /** Whether there is a program for it at all. */
  readonly usable: boolean
  /** Why guests that ask get no answer now, though they should. */
  problem(): string | undefined
  /** Makes files and program be as the book says, whatever was there. */
  converge(book: Book): Promise<void>
  /** Follows a change of the links on these slices. */
  follow(book: Book, slices: readonly string[]): Promise<void>
  /** Starts the program again if it has ended though it should run. */
  look(): Promise<void>
  /** Ends the program and takes everything away. */
  clear(): Promise<void>
  /** Programs of this server there are, found without its records. */
  processes(): ProcessId[]
}

const programs = ['/usr/sbin/dnsmasq', '/usr/local/sbin/dnsmasq', '/usr/bin/dnsmasq', '/sbin/dnsmasq']
const programEnv = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }
const endMs = 2000
/** A program that ends as soon as it was started is not started again at once. */
const backoffMs = { first: 1000, last: 60_000 }

export function dhcp(home: DriverHome, realm: Realm): Dhcp {
  const { dir, mark, world, effects, log } = home
  const at = { dir: join(dir, 'dhcp'), hosts: join(dir, 'dhcp', 'hosts'), next: join(dir, 'dhcp', 'next'), output: join(dir, 'dhcp', 'output') }
  const program = programs.find((path) => existsSync(path))
  const argv = (): [string, ...string[]] => [program ?? 'dnsmasq', ...dhcpArgv(realm, { hostsDir: at.hosts, user: userFor(), resolvers: resolvers() })]
  let running: ProcessId | undefined
  let trouble: string | undefined
  let wanted = false
  let searched = false
  let failures = 0
  let notBefore = 0
  let startedAt = 0

  const attempt = async (work: () => Promise<void>) => {
    if (program === undefined) return
    try {
      await work()
    } catch (fault) {
      trouble = String(fault)
      log.warn('guests cannot be told their addresses by DHCP', { why: trouble })
    }
  }
  const start = () => {
    trouble = undefined
    startedAt = world.ticks()
    const child = effects.act({ kind: 'process', verb: 'make', subject: dhcpName(mark) }, () => {
      const outputFd = openSync(at.output, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC, 0o600)
      try {
        return spawnDetached(argv(), { env: programEnv, outputFd, ownSession: true })
      } finally {
        closeSync(outputFd)
      }
    })
    running = child.pid === undefined ? undefined : processOf(child.pid)
  }
  const end = async (found: ProcessId) => {
    if (!signalProcess(found, 'SIGTERM', effects) || (await ended(found, endMs, home))) return
    signalProcess(found, 'SIGKILL', effects)
    await ended(found, endMs, home)
  }
  /** Every one there is, told by the bridges it serves. */
  const all = () => processesWith(dhcpName(mark)).filter(({ argv }) => argv.some((word) => word.startsWith('--dhcp-range=') && word.includes(`set:${dhcpName(mark)},`)))
  /** The same; the machine is searched once, after that we know what we did. */
  const known = (): ProcessId[] => {
    if (searched) return running ? [running] : []
    searched = true
    return all()
  }
  const write = (slice: string, text: string) => {
    const file = join(at.hosts, hostsFile(slice))
    if (readTextNow(file) === text) return
    // By a name of its own first: the program reads whatever it sees begin there.
    effects.act({ kind: 'file', verb: 'change', subject: file }, () => {
      writeFileSync(at.next, text)
      chmodSync(at.next, 0o644)
      renameSync(at.next, file)
    })
  }
  const forget = (name: string) => {
    const file = join(at.hosts, name)
    effects.act({ kind: 'file', verb: 'remove', subject: file }, () => removeAll(file))
  }
  const makeRoom = () => {
    if (existsSync(at.hosts)) return
    effects.act({ kind: 'file', verb: 'make', subject: at.dir }, () => {
      mkdirSync(at.hosts, { recursive: true })
      for (const path of [at.dir, at.hosts]) chmodSync(path, 0o755) // The program has given up its rights when it reads.
    })
  }
  const clear = async () => {
    wanted = false
    for (const found of known()) await end(found)
    running = undefined
    trouble = undefined
    failures = 0
    if (existsSync(at.dir)) effects.act({ kind: 'file', verb: 'remove', subject: at.dir }, () => removeAll(at.dir))
  }
  const tell = (book: Book, slices: readonly string[]) => {
    for (const slice of slices) {
      const links = book.on(slice)
      if (links.length > 0) write(slice, hostsText(slice, links))
      else if (existsSync(join(at.hosts, hostsFile(slice)))) forget(hostsFile(slice))
    }
  }

  return {
    usable: program !== undefined,
    processes: all,
    problem: () => (program === undefined ? 'dnsmasq is not installed' : trouble),
    clear,
    converge: (book) =>
      attempt(async () => {
        if (book.size === 0) return clear()
        makeRoom()
        const slices = [...book.segments().keys()]
        const names = new Set(slices.map(hostsFile))
        for (const name of readdirSync(at.hosts)) if (!names.has(name)) forget(name)
        tell(book, slices)
        const words = argv().join('\n')
        const there = known()
        const same = there.find(({ pid }) => argvOf(pid)?.join('\n') === words)
        for (const found of there) if (found !== same) await end(found)
        wanted = true
        if (same) running = same
        else start()
      }),
    follow: (book, slices) =>
      attempt(async () => {
        if (book.size === 0) return clear()
        makeRoom()
        tell(book, slices)
        wanted = true
        if (!running) start()
      }),
    look: () =>
      attempt(async () => {
        if (!wanted) return
        if (running && isAlive(running)) {
          if (world.ticks() - startedAt > backoffMs.last) failures = 0
          return
        }
        if (running) {
          running = undefined
          trouble = `dnsmasq ended${lastWords(readTextNow(at.output) ?? '')}`
          notBefore = world.ticks() + Math.min(backoffMs.last, backoffMs.first * 2 ** failures++)
          log.warn('guests are not told their addresses by DHCP for a while', { why: trouble })
        }
        if (world.ticks() < notBefore) return
        start()
      }),
  }
}

/** The user that came with the program, or whoever has no rights. */
const userFor = () => (/^dnsmasq:/m.test(readTextNow('/etc/passwd') ?? '') ? 'dnsmasq' : 'nobody')

/** Where systemd-resolved is at work, `resolv.conf` names only that; it writes down elsewhere whom it asks itself. */
const resolvers = () => ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf'].map((file) => resolversIn(readTextNow(file) ?? '')).find((found) => found.length > 0) ?? []

const lastWords = (text: string) => {
  const words = text.trim().split('\n').at(-1)?.slice(-300) ?? ''
  return words === '' ? '' : `: ${words}`
}
