import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { type Effects, plainEffects } from '../../base/effects.ts'
import { silentLog } from '../../base/log.ts'
import { randomHex, realWorld } from '../../base/world.ts'
import { type ErrorCode, TtError } from '../../model/errors.ts'
import type { Plan } from '../../model/plan.ts'
import type { DriverHome, Engine, EngineFactory } from './engine.ts'

/**
 * Where one case of the suite runs: a directory and a mark of its own, the engines made on them, and a search for what they leave on the
 * machine that shares no code with any engine.
 */
export interface Ground {
  /** The engine's directory. */
  dir: string
  mark: string
  /** One more engine on the same directory, as after a restart of the server. */
  engine(effects?: Effects): Promise<Engine>
  plan(id: string): Plan
  disks: string
  /** Everything on the machine that carries the mark or lies in the engine's directory. */
  traces(): string[]
  dispose(): Promise<void>
  clear(): Promise<void>
}

export function ground(subject: { factory: EngineFactory; options?: Record<string, unknown>; plan(id: string, dir: string): Plan }): Ground {
  const root = mkdtempSync(join(tmpdir(), 'tt-engine-'))
  chmodSync(root, 0o711)
  const dir = join(root, 'engine')
  const disks = join(root, 'disks')
  mkdirSync(dir, { mode: 0o700 })
  mkdirSync(disks)
  // Of no use in paths: traces are looked for by `tt-MARK`.
  const mark = randomHex(realWorld, 3).slice(0, 5)
  const engines: Engine[] = []
  const dispose = async () => {
    for (const engine of engines) await engine[Symbol.asyncDispose]()
  }
  return {
    dir,
    mark,
    disks,
    dispose,
    plan: (id) => subject.plan(id, disks),
    async engine(effects = plainEffects()) {
      const home: DriverHome = { dir, mark, world: realWorld, effects, log: silentLog }
      const engine = await subject.factory(home, subject.options ?? {})
      engines.push(engine)
      return engine
    },
    traces: () => [
      ...readdirSync(dir).map((name) => `file ${name}`),
      ...processesWith(`tt-${mark}`).map(({ pid, argv }) => `process ${pid} ${argv}`),
      ...cgroupsWith(`tt-${mark}`).map((path) => `cgroup ${path}`),
      ...['/proc/net/unix', '/proc/self/mountinfo'].flatMap((table) => linesWith(table, dir)),
    ],
    async clear() {
      await dispose().catch(() => undefined)
      for (const { pid } of processesWith(`tt-${mark}`)) process.kill(pid, 'SIGKILL')
      // Only where a case failed is there anything left; what was killed just now still counts for a moment.
      for (let tries = 0; tries < 50 && cgroupsWith(`tt-${mark}`).length > 0; tries++) {
        for (const path of cgroupsWith(`tt-${mark}`)) for (const dir of [...directoriesIn(path).map((name) => join(path, name)), path]) tryRmdir(dir)
        await realWorld.sleep(20)
      }
      rmSync(root, { recursive: true, force: true })
    },
  }
}

/**
 * Effects of a server that dies at its effect number `at`, on one side of it: from then on nothing it does reaches the machine. While not
 * `armed` it lives and nothing is counted.
 */
export function mortal(at: number, side: 'before' | 'after') {
  const fate = { dead: false, count: 0, armed: true }
  const die = (): never => {
    fate.dead = true
    throw new Error('the server is dead')
  }
  const effects: Effects = {
    get count() {
      return fate.count
    },
    act(_effect, run) {
      if (!fate.armed) return run()
      if (fate.dead) return die()
      const here = ++fate.count === at
      if (here && side === 'before') return die()
      const done = run()
      if (!here) return done
      return done instanceof Promise ? (done.finally(die) as typeof done) : die()
    },
  }
  return { fate, effects }
}

/** What comes out of a stream (the newest 64 KiB), and when it is over. */
export function heard(stream: Duplex) {
  const line = { stream, text: '', ended: new Promise<void>((resolve) => stream.once('close', () => resolve())) }
  stream.on('data', (bytes: Buffer) => (line.text = (line.text + bytes.toString('latin1')).slice(-65_536)))
  stream.on('error', () => undefined)
  return line
}

/** Every id the engine's watch tells from now on. */
export function watching(engine: Engine) {
  const controller = new AbortController()
  const seen: string[] = []
  const over = (async () => {
    for await (const id of engine.watch({ signal: controller.signal })) seen.push(id)
  })()
  return {
    seen,
    async end() {
      controller.abort()
      await over
    },
  }
}

/** The error of a call that is refused with one of these codes; anything else is a failure. */
export async function refused(call: Promise<unknown> | undefined, ...codes: ErrorCode[]): Promise<TtError> {
  const outcome = await Promise.resolve(call).then(() => undefined, (fault: unknown) => fault)
  if (!(outcome instanceof TtError)) throw new Error(`expected ${codes.join(' or ')}, got ${outcome instanceof Error ? outcome.stack : 'no refusal'}`)
  if (!codes.includes(outcome.code)) throw new Error(`expected ${codes.join(' or ')}, got ${outcome.code}: ${outcome.message}`)
  return outcome
}

/** Tries until it holds; what still fails after 8 s is thrown. */
export async function eventually(check: () => unknown, end = realWorld.ticks() + 8000): Promise<void> {
  for (;;) {
    try {
      return void (await check())
    } catch (fault) {
      if (realWorld.ticks() > end) throw fault
      await realWorld.sleep(10)
    }
  }
}

/** Whether the process is there and not merely waiting for its parent to look at it. */
export function isAlive(pid: number): boolean {
  const state = linesWith(`/proc/${pid}/status`, 'State:')[0]
  return state !== undefined && !state.includes('Z')
}

function processesWith(text: string): { pid: number; argv: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .map((name) => ({ pid: Number(name), argv: linesWith(`/proc/${name}/cmdline`, text).join('').replaceAll('\0', ' ') }))
    .filter(({ argv }) => argv !== '')
}

function cgroupsWith(text: string): string[] {
  const roots = linesWith('/proc/self/mountinfo', ' - cgroup').map((line) => line.split(' ')[4] ?? '')
  const below = (dir: string, depth: number): string[] => {
    if (depth > 4) return []
    return directoriesIn(dir).flatMap((name) => (name.includes(text) ? [join(dir, name)] : below(join(dir, name), depth + 1)))
  }
  return roots.flatMap((root) => below(root, 0))
}

function tryRmdir(dir: string): void {
  try {
    rmdirSync(dir)
  } catch {
    // Tried again.
  }
}

function directoriesIn(dir: string): string[] {
  try {
    return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
  } catch {
    return [] // It went while we were looking.
  }
}

function linesWith(file: string, text: string): string[] {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line.includes(text))
  } catch {
    return []
  }
}
