import { mkdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { guard } from '../../src/cloud/guard.ts'
import type { Cloud } from '../../src/model/cloud.ts'
import { asTtError } from '../../src/model/errors.ts'
import { stage } from '../crash/stage.ts'
import type { Sum } from '../crash/wish.ts'
import { temporaryDir } from '../fake-cloud.ts'
import { faultsOf, leftOf } from './invariants.ts'
import { add, type DayEnv, demand, endOf, images, lifeLimitSeconds, total, users, wishOf, zero } from './model.ts'
import { type Expected, operations } from './operations.ts'

/** One thing that happens, as plain data: what the numbers mean is the operation's affair, so that leaving out any of the others leaves it possible. */
export interface Op {
  name: string
  user: number
  pick: number
  a: number
  b: number
  c: number
  /** Time that passes afterwards. */
  waitMs: number
}

export interface Day {
  envs: Map<string, DayEnv>
  /** ENVs that were made. */
  made: number
  now(): number
  /** When the server that lives was started. */
  upSinceMs(): number
  freshName(): string
  cloudOf(user: number): Cloud
  /** Notes whether there is room for so much more, as far as it can be known. */
  room(wanted: Sum, about: { owner: string; expected: Expected; before?: Sum }): void
  /** What is freed by and by: until it is, a wish for it may be refused. */
  gaveBack(sum: Sum): void
  /** Whether it ends so soon that nobody can say what will be answered. */
  isEnding(env: DayEnv): boolean
  drive<T>(work: Promise<T>): Promise<T>
  pass(ms: number): Promise<void>
  rest(): Promise<void>
  restart(how: 'in order' | 'by a kill', awayMs: number): Promise<void>
  wrong(what: string): never
}

/** How a day went. */
export interface DayOutcome {
  made: number
  refused: number
  simulatedHours: number
  /** Each step in words. */
  told: string[]
  /** The step that went wrong, of those given, and what was seen. */
  failure?: { at: number; what: string; why: string }
}

const restLimitMs = 120_000
const settleMs = 20_000

/** Lives a day from its operations: the same operations and seed give the same day. After each step everything that must always hold is looked at. */
export async function liveDay(ops: readonly Op[], seed: number): Promise<DayOutcome> {
  using home = temporaryDir('day', 'memory')
  const imageDir = imagesIn(home.dir)
  const ground = stage(join(home.dir, 'server'), { seed, total, imageDirs: [imageDir], engine: { seed, stopMs: [0, 500] }, ports: { from: 40_000, to: 43_999 } })
  const envs = new Map<string, DayEnv>()
  const given: { sum: Sum; untilMs: number }[] = []
  let upSinceMs = 0
  let nextName = 0
  let refusedCount = 0
  let what = 'begin'
  const told: string[] = []
  const outcome = () => ({ made: day.made, refused: refusedCount, simulatedHours: ground.world.ticks() / 3_600_000, told })

  const wrong = (why: string): never => {
    throw new Error(why)
  }
  const drive = async <T>(work: Promise<T>): Promise<T> => (await ground.drive(work) ?? wrong('the server died')).answer
  const look = async () => {
    forget()
    const faults = await faultsOf({ ground, envs, upSinceMs, clouds: users.map((_, at) => day.cloudOf(at)) })
    if (faults.length > 0) wrong(faults.slice(0, 10).join('; '))
  }
  /** What has ended or gone, as far as the machine shows it, is not in the model any more; `faultsOf` says whether it was to go. */
  const forget = () => leftOf({ ground, envs })
  const begin = async () => {
    if (!(await ground.begin())) wrong('the server did not start')
    upSinceMs = ground.world.now()
  }

  const day: Day = {
    envs,
    made: 0,
    now: () => ground.world.now(),
    upSinceMs: () => upSinceMs,
    freshName: () => `e${nextName++}`,
    cloudOf(at) {
      const { name, rights } = users[at] as (typeof users)[number]
      return guard(ground.cloud(), { name, role: 'user', rights: [...rights] })
    },
    room(wanted, { owner, expected, before = zero }) {
      const there = ground.machine('glance').store
      const holding = ({ state, name }: DayEnv) => state === 'live' || there.has(`desired/env/${name}`)
      const sum = (some: DayEnv[]) => some.map((env) => demand(env)).reduce(add, zero)
      const slack = given.filter(({ untilMs }) => untilMs > ground.world.now()).reduce((all, one) => add(all, one.sum), zero)
      const judge = (limit: Partial<Sum>, mine: (env: DayEnv) => boolean) => {
        const most = sum([...envs.values()].filter((env) => mine(env) && holding(env)))
        const least = sum([...envs.values()].filter((env) => mine(env) && env.state === 'live'))
        for (const field of ['cpu', 'memMb', 'diskMb', 'vms'] as const) {
          const free = (limit[field] ?? Infinity) + before[field]
          if (wanted[field] <= before[field]) continue
          if (wanted[field] > free - least[field]) expected.reasons.push('exhausted')
          else if (wanted[field] > free - most[field] - slack[field]) expected.maybe.push('exhausted')
        }
      }
      judge(total, () => true)
      judge(users.find(({ name }) => name === owner)?.quota ?? {}, (env) => env.owner === owner)
    },
    gaveBack: (sum) => void given.push({ sum, untilMs: ground.world.now() + settleMs }),
    isEnding: (env) => endOf(env) - 2000 <= ground.world.now() && !env.halted,
    drive,
    async pass(ms) {
      for (let left = ms; left > 0; left -= 10_000) {
        await ground.wait(Math.min(left, 10_000))
        await look()
      }
    },
    async rest() {
      for (const endMs = ground.world.now() + restLimitMs; ; ) {
        await ground.wait(2000)
        await look()
        const soon = [...envs.values()].some((env) => Math.abs(endOf(env) - ground.world.now()) < settleMs && !env.halted)
        const leaving = [...envs.values()].some(({ state }) => state === 'leaving')
        if (soon || leaving) {
          if (ground.world.now() > endMs) wrong(`it did not come to rest: ${[...envs.values()].filter(({ state }) => state === 'leaving').map(({ name }) => name).join(' ')} are still being removed`)
          continue
        }
        try {
          await ground.until([wishOf(envs.values())], 30_000)
          return
        } catch (fault) {
          if (ground.world.now() > endMs) throw fault
        }
      }
    },
    async restart(how, awayMs) {
      if (how === 'by a kill') await ground.drop()
      else await ground.stop()
      await ground.world.advance(awayMs)
      await begin()
    },
    wrong,
  }

  const step = async (op: Op) => {
    const entry = operations[op.name]?.of(day, op)
    what = entry?.what ?? `${op.name}: nothing to do it to`
    told.push(`${new Date(ground.world.now()).toISOString().slice(11, 23)} ${users[op.user]?.name}: ${what}`)
    if (!entry) return
    if ('happen' in entry) await entry.happen()
    else {
      const before = desiredOf(ground.machine('glance').store)
      const beganMs = ground.world.ticks()
      const { reasons, maybe } = entry.expected
      const by = users[op.user]?.name
      const answer = await drive(entry.act(day.cloudOf(op.user)).then((value) => ({ value }), (fault: unknown) => ({ error: asTtError(fault) })))
      if ('error' in answer) {
        refusedCount++
        const { code, message } = answer.error
        if (![...reasons, ...maybe].includes(code)) wrong(`${by} was refused with ${code}, ${message}; ${reasons.length > 0 ? `expected was ${reasons.join(' or ')}` : 'nothing speaks against it'}`)
        if (beganMs === ground.world.ticks() && before !== desiredOf(ground.machine('glance').store)) wrong(`it was refused (${code}) and changed something`)
      } else {
        if (reasons.length > 0) wrong(`${by} was not refused: ${reasons.join(' and ')} speaks against it`)
        entry.done(answer.value)
      }
    }
    await look()
    await day.pass(op.waitMs)
  }

  let at = 0
  try {
    await begin()
    for (const { name, quota } of users) await drive(ground.cloud().collection('user').put(name, { spec: { role: 'user', quota } }))
    for (const op of ops) {
      await step(op)
      at++
    }
    what = 'the evening: everything comes to rest, is deleted, and is gone'
    await day.rest()
    for (const env of envs.values()) if (env.state !== 'leaving' && !day.isEnding(env)) await drive(ground.cloud().collection('env').remove(env.name).then(() => (env.state = 'leaving'), () => undefined))
    await day.rest()
    for (const endMs = ground.world.now() + lifeLimitSeconds * 1000; envs.size > 0 && ground.world.now() < endMs; ) await day.pass(60_000)
    await ground.until([new Map()], 30_000)
    return outcome()
  } catch (fault) {
    return { ...outcome(), failure: { at, what, why: (fault as Error).message } }
  } finally {
    await ground.drop()
  }
}

/** What users have asked for, as it is kept: the part of the store that a refused operation must not touch. */
const desiredOf = (store: ReadonlyMap<string, unknown>) => JSON.stringify([...store].filter(([key]) => /^desired\/(env\/|ledger)/.test(key)))

/** The images of the day as their host finds them, older than any clock of the day. */
function imagesIn(dir: string): string {
  const old = new Date('2020-01-01')
  for (const [name, { cpu, memMb, diskMb, ports, options }] of Object.entries(images)) {
    if (name.includes(':')) continue
    const folder = join(dir, 'images', name)
    mkdirSync(folder, { recursive: true })
    const kernel = { file: 'kernel', sha256: '0'.repeat(64) }
    writeFileSync(join(folder, 'kernel'), 'none')
    writeFileSync(join(folder, 'image.json'), JSON.stringify({ format: 1, name, engines: ['fake'], boot: 'kernel', kernel, defaults: { cpu, memMb, diskMb, ports }, options }))
    for (const file of ['kernel', 'image.json']) utimesSync(join(folder, file), old, old)
  }
  return join(dir, 'images')
}
