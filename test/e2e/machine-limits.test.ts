import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { cgroups } from '../../src/base/cgroups.ts'
import { plainEffects } from '../../src/base/effects.ts'
import { realWorld } from '../../src/base/world.ts'
import { ground } from '../../src/drivers/engine/ground.ts'
import { demoPlan, testOptions } from '../../src/drivers/engine/qemu/guests.ts'
import { qemu } from '../../src/drivers/engine/qemu/qemu.ts'

// A server that may open no more files, or start no more processes. It is one of its own, as its limit is.

const inside = process.argv[2]
if (inside === undefined) await suite()
else await shortServer(inside === 'files', JSON.parse(process.argv[3] ?? ''))

interface Outcomes {
  [what: string]: { code: string; remedy?: string } | 'done'
}

async function suite(): Promise<void> {
  const wake = setInterval(() => undefined, 1000) // Drivers wait without keeping the process alive.
  after(() => clearInterval(wake))
  const on = ground({ factory: qemu, options: testOptions, plan: demoPlan })
  const engine = await on.engine()
  const probe = await engine.probe()
  const skip = probe.usable ? false : `the engine qemu is not usable here: ${probe.why}`
  await on.clear()

  test('a server that may open no more files refuses with a typed error, leaves nothing, and goes on when it may again', { skip, timeout: 60_000 }, async () => {
    await tried(['sh', '-c', 'ulimit -n 64; exec "$0" "$@"'], 'files', () => undefined)
  })

  const groups = cgroups({ mark: on.mark, world: realWorld, effects: plainEffects() })
  const usable = await groups.usable()
  const noGroups = usable.usable ? false : `cgroups are not usable here: ${usable.why}`
  test('a server that may start no more processes refuses with a typed error, leaves nothing, and goes on when it may again', { skip: skip || noGroups, timeout: 60_000 }, async () => {
    await tried([], 'processes', (child, isShort) => {
      const dirs = groups.make('server.0', { pids: isShort ? 1 : 500 })
      for (const dir of dirs) writeFileSync(join(dir, 'cgroup.procs'), String(child.pid))
    })
    await groups.remove('server.0')
  })
}

/** Has one server try everything while it is short of something, and again after. */
async function tried(before: string[], what: string, limit: (child: ChildProcess, isShort: boolean) => void): Promise<void> {
  const on = ground({ factory: qemu, options: testOptions, plan: demoPlan })
  let server: ChildProcess | undefined
  // To remove a directory takes a descriptor: that of a failed start stays, and is known, until the next verb.
  const traces = () => on.traces().filter((trace) => !trace.includes('server.0') && !(what === 'files' && trace === 'file short.0'))
  try {
    const [program, ...args] = [...before, process.execPath, '--disable-warning=ExperimentalWarning', fileURLToPath(import.meta.url), what, JSON.stringify({ dir: on.dir, mark: on.mark, disks: on.disks })]
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    server = child
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const next = async () => ((await lines.next()) as { value?: string }).value ?? assert.fail('the server is dead')
    assert.equal(await next(), 'ready')
    limit(child, true)
    child.stdin.write('short\n')
    const short = JSON.parse(await next()) as Outcomes
    const expected = what === 'files' ? ['run', 'coprocess', 'engine', 'volume', 'keep', 'file'] : ['run', 'coprocess', 'engine', 'keep']
    for (const name of expected) {
      const outcome = short[name]
      assert(outcome !== undefined && outcome !== 'done', `${name} was done all the same`)
      assert.equal(outcome.code, 'unavailable', `${name}: ${JSON.stringify(outcome)}`)
      assert(outcome.remedy, `${name} does not say what to do`)
    }
    assert.deepEqual(traces(), [], 'something is left')
    limit(child, false)
    child.stdin.write('free\n')
    const free = JSON.parse(await next()) as Outcomes
    for (const [name, outcome] of Object.entries(free)) assert.equal(outcome, 'done', `${name}: ${JSON.stringify(outcome)}`)
    child.stdin.end()
    const [code] = await new Promise<unknown[]>((resolve) => child.once('exit', (...how) => resolve(how)))
    assert.equal(code, 0)
    assert.deepEqual(on.traces().filter((trace) => !trace.includes('server.0')), [])
  } finally {
    server?.kill('SIGKILL')
    await on.clear()
  }
}

/** Tries on the first line it is told, while it is short, and on the second. */
async function shortServer(takesFiles: boolean, { dir, mark, disks }: { dir: string; mark: string; disks: string }): Promise<void> {
  const { closeSync, openSync, readdirSync } = await import('node:fs')
  const { readFile } = await import('node:fs/promises')
  const { coprocess } = await import('../../src/base/coprocess.ts')
  const { writeWhole } = await import('../../src/base/files.ts')
  const { silentLog } = await import('../../src/base/log.ts')
  const { run } = await import('../../src/base/run.ts')
  const { qcow2 } = await import('../../src/drivers/volume/qcow2/qcow2.ts')
  const { problemOf } = await import('../../src/model/errors.ts')
  const home = (name: string) => (mkdirSync(name, { recursive: true }), { dir: name, mark, world: realWorld, effects: plainEffects(), log: silentLog })
  const wake = setInterval(() => undefined, 1000)
  const engine = await qemu(home(dir), testOptions)
  await engine.probe()
  const volumes = await qcow2(home(join(disks, 'volumes')), {})
  await volumes.create('kept.0', { sizeBytes: 1 << 20 })
  // As a server that has served for a while: the threads of Node are there.
  await Promise.all(Array.from({ length: 16 }, () => readFile('/proc/self/stat')))
  await using shell = coprocess({ argv: ['sh'], world: realWorld, complaint: (marker) => new RegExp(`^.*${marker}.*\\n`, 'm') })

  const attempts: Record<string, () => Promise<unknown>> = {
    run: () => run(['true']),
    coprocess: () => shell.send(['true']),
    engine: async () => {
      await engine.start(demoPlan('short.0', disks))
      await engine.destroy('short.0')
    },
    volume: async () => {
      await volumes.create('new.0', { sizeBytes: 1 << 20 })
      await volumes.destroy('new.0')
    },
    keep: () => volumes.keep('kept.0', join(disks, 'kept')),
    file: async () => writeWhole(join(disks, 'file'), 'text'),
  }
  demoPlan('short.0', disks) // Makes its files.
  const tell = async () => {
    const outcomes: Outcomes = {}
    for (const [name, attempt] of Object.entries(attempts)) {
      outcomes[name] = await attempt().then(
        () => 'done' as const,
        (fault: unknown) => problemOf(fault),
      )
    }
    console.log(JSON.stringify(outcomes))
  }
  console.log('ready')
  const taken: number[] = []
  for await (const line of createInterface({ input: process.stdin })) {
    if (takesFiles && line === 'short') for (let full = false; !full; ) try { taken.push(openSync('/dev/null', 'r')) } catch { full = true } // prettier-ignore
    for (const fd of line === 'free' ? taken : []) closeSync(fd)
    await tell()
  }
  assert.deepEqual(readdirSync(dir), [])
  await engine[Symbol.asyncDispose]()
  clearInterval(wake)
}
