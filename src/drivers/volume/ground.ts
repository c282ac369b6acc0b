import { createHash } from 'node:crypto'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Effects, plainEffects } from '../../base/effects.ts'
import { silentLog } from '../../base/log.ts'
import { realWorld } from '../../base/world.ts'
import { type ErrorCode, TtError } from '../../model/errors.ts'
import type { Disk } from '../../model/plan.ts'
import type { VolumeDriver, VolumeFactory } from './volume.ts'

/** What the suites need of a volume driver. */
export interface VolumeSubject {
  name: string
  factory: VolumeFactory
  options?: Record<string, unknown>
  /** Makes a disk to copy, in `dir`: 4 MiB or less, with something in its first and its last 4096 bytes. */
  base(dir: string): Promise<Disk>
  /** Absent: the driver keeps no bytes, and the cases about them are skipped. */
  contents?: Contents
  /** Where directories are made; the machine's own place for temporary files unless said otherwise. */
  root?: string
}

/** How what a guest sees is read and written. */
export interface Contents {
  read(disk: Disk, offset: number, length: number): Promise<Buffer>
  write(disk: Disk, offset: number, bytes: Buffer): Promise<void>
}

/** A case of a suite, on a ground of its own. What it leaves in the driver's directory fails it, and a base that changed. */
export type It = (what: string, run: (on: Ground) => Promise<void>) => unknown

/** Of `node:test`, which only tests and suites import. */
export interface Runner {
  test(name: string, options: { timeout?: number; skip?: string }, run: () => void | Promise<void>): unknown
}

/** How cases of a suite are run; undefined where the driver is not usable, which is told with its reason. */
export async function casesOf(subject: VolumeSubject, suite: string, { test }: Runner): Promise<{ it: It; skip(what: string, why: string): void } | undefined> {
  const trial = ground(subject)
  try {
    await using first = await trial.driver()
    const probe = await first.probe()
    if (!probe.usable) {
      test(`${suite} ${subject.name}`, { skip: `not usable here: ${probe.why}` }, () => undefined)
      return undefined
    }
  } finally {
    trial.clear()
  }
  return {
    it: (what, run) =>
      test(`${suite} ${subject.name}: ${what}`, { timeout: 60_000 }, async () => {
        const on = ground(subject)
        try {
          await run(on)
          await on.dispose()
          const left = [...readdirSync(on.dir), ...on.changedBases().map((name) => `another base ${name}`)]
          if (left.length > 0) throw new Error(`something is left: ${left.join(', ')}`)
        } finally {
          on.clear()
        }
      }),
    skip: (what, why) => void test(`${suite} ${subject.name}: ${what}`, { skip: why }, () => undefined),
  }
}

/** The error of a call that is refused with one of these codes; anything else is a failure. */
export async function refused(call: Promise<unknown>, ...codes: ErrorCode[]): Promise<TtError> {
  const outcome = await call.then(
    () => undefined,
    (fault: unknown) => fault,
  )
  if (!(outcome instanceof TtError)) throw new Error(`expected ${codes.join(' or ')}, got ${outcome instanceof Error ? outcome.stack : 'no refusal'}`)
  if (!codes.includes(outcome.code)) throw new Error(`expected ${codes.join(' or ')}, got ${outcome.code}: ${outcome.message}`)
  return outcome
}

/** Where one case of the suite runs: a directory, the drivers made on it, and a base whose bytes can be compared. */
export interface Ground {
  /** What lies beside the driver's directory is the case's own. */
  root: string
  /** The driver's directory. */
  dir: string
  /** One more driver on the same directory, as after a restart of the server. */
  driver(effects?: Effects): Promise<VolumeDriver>
  base(): Promise<Disk>
  /** Files of bases that are not as they were made. */
  changedBases(): string[]
  dispose(): Promise<void>
  clear(): void
}

function ground({ factory, options = {}, base, root: place = tmpdir() }: VolumeSubject): Ground {
  const root = mkdtempSync(join(place, 'tt-volume-'))
  const [dir, bases] = [join(root, 'volumes'), join(root, 'bases')]
  for (const path of [dir, bases]) mkdirSync(path)
  chmodSync(root, 0o711)
  const drivers: VolumeDriver[] = []
  const sums = new Map<string, string>()
  const sumOf = (name: string) => createHash('sha256').update(readFileSync(join(bases, name))).digest('hex')
  let made: Disk | undefined
  return {
    root,
    dir,
    async driver(effects = plainEffects()) {
      const driver = await factory({ dir, mark: 'tests', world: realWorld, effects, log: silentLog }, options)
      drivers.push(driver)
      return driver
    },
    async base() {
      if (made) return made
      made = await base(bases)
      for (const name of readdirSync(bases)) sums.set(name, sumOf(name))
      return made
    },
    changedBases: () => readdirSync(bases).filter((name) => sums.get(name) !== sumOf(name)),
    async dispose() {
      for (const driver of drivers) await driver[Symbol.asyncDispose]()
    },
    clear: () => rmSync(root, { recursive: true, force: true }),
  }
}

/** Effects of a server that dies, once it is armed, at its effect number `at`, on one side of it; from then on it has none. */
export function mortal(at: number, side: 'before' | 'after') {
  let count = 0
  const die = (): never => {
    fate.dead = true
    throw new Error('the server is dead')
  }
  const effects: Effects = {
    get count() {
      return count
    },
    act(_effect, run) {
      if (fate.dead) return die()
      const here = fate.armed && ++count === at
      if (here && side === 'before') return die()
      const done = run()
      if (!here) return done
      return done instanceof Promise ? (done.then(die) as typeof done) : die()
    },
  }
  const fate = { effects, armed: false, dead: false }
  return fate
}

/** The first 4096 bytes of a qcow2 disk, made by hand so that what drivers read is not what they wrote. */
export function qcow2Head(what: { version?: number; backing?: string; incompatible?: bigint; size?: bigint; l1Entries?: number }): Buffer {
  const { version = 3, backing, incompatible = 0n, size = 1n << 20n, l1Entries = 1 } = what
  const head = Buffer.alloc(4096)
  head.write('QFI\xfb', 'latin1')
  head.writeUInt32BE(version, 4)
  if (backing !== undefined) {
    head.writeBigUInt64BE(512n, 8)
    head.writeUInt32BE(head.write(backing, 512), 16)
  }
  head.writeUInt32BE(16, 20)
  head.writeBigUInt64BE(size, 24)
  head.writeUInt32BE(l1Entries, 36)
  head.writeBigUInt64BE(incompatible, 72)
  head.writeUInt32BE(104, 100)
  return head
}
