import assert from 'node:assert/strict'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { Plan } from '../../model/plan.ts'
import type { Engine, EngineFactory } from './engine.ts'
import { eventually, type Ground, ground, heard, isAlive, mortal, refused, watching } from './ground.ts'
import { dials } from './port.contract.ts'
import { screens } from './screen.contract.ts'
import { seeds } from './seed.contract.ts'
import { windows } from './window.contract.ts'

/** What the suite needs of an engine. Plans get a directory for their disks, which is not the engine's. */
export interface EngineSubject {
  name: string
  factory: EngineFactory
  options?: Record<string, unknown>
  /** A guest that starts within seconds and runs until it is stopped. */
  plan(id: string, dir: string): Plan
  /** One the engine must refuse with `invalid` or `unsupported`. */
  badPlan(id: string, dir: string): Plan
  /** One that looks right and does not start: `failed`, with a message that matches. */
  failingPlan?: { plan(id: string, dir: string): Plan; says: RegExp }
  /** What the running guest has, seen from wherever it can be seen. */
  hardware(engine: Engine, id: string): Promise<{ cpu: number; memMb: number }>
  /** With `features.logs` or `features.console`: what the guest of `plan` prints soon after its start, and goes on printing. */
  prints?: RegExp
  /** With `features.console`: a guest that answers on its serial line. */
  answers?: { plan(id: string, dir: string): Plan; send: string; comes: RegExp }
  /** With `features.screen`: a guest that has one, while that of `plan` has none. */
  shows?(id: string, dir: string): Plan
}

/** Proves that an engine keeps its contract. Awaited at the top of its test file; an engine that is not usable here is skipped with the probe's reason. */
export async function engineContract(subject: EngineSubject): Promise<void> {
  // Drivers wait without keeping the process alive, as a server has other reasons to live; a test has none.
  const alive = setInterval(() => undefined, 1000)
  after(() => clearInterval(alive))
  const trial = ground(subject)
  const first = await trial.engine()
  const probe = await first.probe()
  const { features } = first
  await first[Symbol.asyncDispose]()
  if (!probe.usable) {
    await trial.clear()
    test(`engine ${subject.name}`, { skip: `not usable here: ${probe.why}` }, () => undefined)
    return
  }
  after(trial.clear)
  /** A case on a ground of its own; whatever it leaves on the machine fails it. */
  const it: It = (what, run) => {
    test(`engine ${subject.name}: ${what}`, { timeout: 30_000 }, async () => {
      const on = ground(subject)
      try {
        await run(on)
        await on.dispose()
        assert.deepEqual(on.traces(), [], 'something is left')
      } finally {
        await on.clear()
      }
    })
  }

  test(`engine ${subject.name}: the probe names a version and may be repeated`, async () => {
    assert.match(probe.version, /\S/)
    await using again = await trial.engine()
    assert.deepEqual(await again.probe(), probe)
  })
  verbs(subject, it)
  seeds(it)
  if (features.window) windows(it)
  restarts(it)
  if (features.logs) logs(subject, it)
  if (features.console) consoles(subject, it)
  if (features.dial) dials(it)
  if (features.screen) screens(subject.shows, it)
  if (features.pause) pauses(it)
  for (const feature of ['logs', 'console', 'dial', 'screen', 'pause'] as const)
    if (!features[feature]) test(`engine ${subject.name}: ${feature}`, { skip: 'the engine has not this feature' }, () => undefined)
}

type It = (what: string, run: (on: Ground) => Promise<void>) => void

function verbs(subject: EngineSubject, it: It) {
  it('unknown ids are absent, and stopping or destroying them resolves', async (on) => {
    const engine = await on.engine()
    assert.deepEqual(await engine.inspect('none.0'), { state: 'absent' })
    await engine.stop('none.0', 10)
    await engine.destroy('none.0')
    assert.deepEqual(await engine.list(), [])
    if (engine.dial) await refused(engine.dial('none.0', 'tt.agent'), 'not_ready', 'not_found')
    if (engine.console) await refused(engine.console('none.0'), 'not_ready', 'not_found')
    if (engine.logs) await refused(engine.logs('none.0'), 'not_found')
  })

  it('[H08] a guest runs, stops, runs again on the same disks, and goes without a trace', async (on) => {
    const engine = await on.engine()
    const plan = on.plan('life.0')
    const before = disksOf(plan)
    const startedAt = Date.now()
    await engine.start(plan)
    const running = await engine.inspect('life.0')
    assert(running.state === 'running')
    const lateMs = Date.parse(running.since) - startedAt
    assert(lateMs > -1500 && lateMs < 10_000, `it says it runs since ${running.since}, ${lateMs} ms after it was asked to`)
    assert.deepEqual(await engine.list(), ['life.0'])

    await engine.start(plan)
    assert.deepEqual(await engine.inspect('life.0'), running, 'a repeated start changes nothing')

    await engine.stop('life.0', 50)
    assert.equal((await engine.inspect('life.0')).state, 'stopped')
    if (running.pid !== undefined) assert.equal(isAlive(running.pid), false, 'a stopped guest has no process')
    await engine.stop('life.0', 50)
    assert.equal((await engine.inspect('life.0')).state, 'stopped')
    assert.deepEqual(await engine.list(), ['life.0'])

    await engine.start(plan)
    assert.equal((await engine.inspect('life.0')).state, 'running')
    assert.deepEqual(disksOf(plan), before, 'the disks are as they were')
    await engine.destroy('life.0')
    assert.deepEqual(await engine.inspect('life.0'), { state: 'absent' })
    assert.deepEqual(on.traces(), [])
    await engine.destroy('life.0')
    assert.deepEqual(await engine.list(), [])
    assert.deepEqual(disksOf(plan), before, 'disks belong to others and stay')
  })

  it('[D04] a guest that was stopped starts with the hardware it is given then', async (on) => {
    const plan = on.plan('grows.0')
    const larger = { ...plan, cpu: plan.cpu + 1, memMb: plan.memMb + 16 }
    let engine = await on.engine()
    for (const { cpu, memMb, ...rest } of [plan, larger, plan]) {
      await engine.start({ ...rest, cpu, memMb })
      await eventually(async () => assert.deepEqual(await subject.hardware(engine, 'grows.0'), { cpu, memMb }))
      await engine.start({ ...rest, cpu: cpu + 2, memMb })
      assert.deepEqual(await subject.hardware(engine, 'grows.0'), { cpu, memMb }, 'one that runs is left as it is')
      await engine.stop('grows.0', 20)
      await engine[Symbol.asyncDispose]()
      engine = await on.engine()
    }
    await engine.destroy('grows.0')
  })

  it('a plan it cannot run is refused and leaves nothing', async (on) => {
    const engine = await on.engine()
    await refused(engine.start(subject.badPlan('wrong.0', on.disks)), 'invalid', 'unsupported')
    assert.deepEqual(await engine.inspect('wrong.0'), { state: 'absent' })
    assert.deepEqual(await engine.list(), [])
    assert.deepEqual(on.traces(), [])
  })

  const failing = subject.failingPlan
  if (failing)
    it('a guest that does not start is failed in its own last words and leaves nothing', async (on) => {
      const engine = await on.engine()
      const error = await refused(engine.start(failing.plan('fails.0', on.disks)), 'failed')
      assert.match(error.message, failing.says)
      assert.deepEqual(await engine.inspect('fails.0'), { state: 'absent' })
      assert.deepEqual(on.traces(), [])
    })

  it('a call that was given up rejects, and destroy clears what it began', async (on) => {
    const engine = await on.engine()
    await assert.rejects(engine.start(on.plan('late.0'), { signal: AbortSignal.abort() }))
    await engine.destroy('late.0')
    assert.deepEqual(on.traces(), [])
  })

  it('different ids do not wait for each other', async (on) => {
    const engine = await on.engine()
    const ids = ['many.0', 'many.1', 'many.2', 'many.3']
    await Promise.all(ids.map((id) => engine.start(on.plan(id))))
    assert.deepEqual((await engine.list()).toSorted(), ids)
    await Promise.all([engine.stop('many.0', 20), engine.destroy('many.1'), engine.start(on.plan('many.4')), engine.stop('many.2', 20)])
    const states = await Promise.all([...ids, 'many.4'].map(async (id) => (await engine.inspect(id)).state))
    assert.deepEqual(states, ['stopped', 'absent', 'stopped', 'running', 'running'])
    await Promise.all([...ids, 'many.4'].map((id) => engine.destroy(id)))
    assert.deepEqual(on.traces(), [])
  })

  it('watch tells of what happened, to every watcher, and ends with its signal', async (on) => {
    const engine = await on.engine()
    const one = watching(engine)
    const two = watching(engine)
    await engine.start(on.plan('seen.0'))
    await eventually(() => assert(one.seen.includes('seen.0') && two.seen.includes('seen.0'), 'the start was not told'))
    const told = one.seen.length
    await engine.stop('seen.0', 20)
    await eventually(() => assert(one.seen.length > told, 'the stop was not told'))
    await two.end()
    const silent = two.seen.length
    await engine.destroy('seen.0')
    await one.end()
    assert.equal(two.seen.length, silent)
  })

  it('a guest that is killed behind its back is told by watch, stopped, and can start again', async (on) => {
    const engine = await on.engine()
    const plan = on.plan('shot.0')
    await engine.start(plan)
    const before = await engine.inspect('shot.0')
    if (before.state !== 'running' || before.pid === undefined) return engine.destroy('shot.0')
    const { seen, end } = watching(engine)
    process.kill(before.pid, 'SIGKILL')
    await eventually(() => assert(seen.includes('shot.0'), 'its end was not told'))
    assert.equal((await engine.inspect('shot.0')).state, 'stopped')
    await engine.stop('shot.0', 20)
    await engine.start(plan)
    assert.equal((await engine.inspect('shot.0')).state, 'running')
    await end()
    await engine.destroy('shot.0')
  })
}

function restarts(it: It) {
  it('a new server finds running guests running and stopped ones stopped', async (on) => {
    const old = await on.engine()
    await Promise.all([old.start(on.plan('kept.0')), old.start(on.plan('kept.1'))])
    await old.stop('kept.1', 20)
    const before = await old.inspect('kept.0')
    await old[Symbol.asyncDispose]()

    const engine = await on.engine()
    assert.deepEqual((await engine.list()).toSorted(), ['kept.0', 'kept.1'])
    assert.deepEqual(await engine.inspect('kept.0'), before)
    assert.equal((await engine.inspect('kept.1')).state, 'stopped')
    await engine.start(on.plan('kept.0'))
    assert.deepEqual(await engine.inspect('kept.0'), before, 'starting it again changes nothing')
    if (before.state === 'running' && before.pid !== undefined) {
      const { seen, end } = watching(engine)
      process.kill(before.pid, 'SIGKILL')
      await eventually(() => assert(seen.includes('kept.0'), 'the end of a guest it did not start itself was not told'))
      await end()
      assert.equal((await engine.inspect('kept.0')).state, 'stopped')
    }
    await engine.start(on.plan('kept.1'))
    await engine.stop('kept.1', 20)
    await Promise.all([engine.destroy('kept.0'), engine.destroy('kept.1')])
    assert.deepEqual(on.traces(), [])
  })

  it('a guest that ended while no server ran is stopped', async (on) => {
    const old = await on.engine()
    await old.start(on.plan('gone.0'))
    const before = await old.inspect('gone.0')
    await old[Symbol.asyncDispose]()
    if (before.state === 'running' && before.pid !== undefined) {
      process.kill(before.pid, 'SIGKILL')
      await eventually(() => assert.equal(isAlive(before.pid ?? 0), false))
    }
    const engine = await on.engine()
    const now = await engine.inspect('gone.0')
    assert.equal(now.state, before.state === 'running' && before.pid !== undefined ? 'stopped' : 'running')
    await engine.destroy('gone.0')
  })

  for (const verb of ['start', 'stop', 'destroy'] as const)
    it(`a server that dies at any effect of ${verb} leaves what the next can start and destroy`, async (on) => {
      for (let at = 1; ; at++) {
        let effects = 0
        for (const side of ['before', 'after'] as const) {
          const id = `dies.${at}${side === 'before' ? 0 : 1}`
          const { fate, effects: door } = mortal(at, side)
          const doomed = await on.engine(door)
          fate.armed = false
          if (verb !== 'start') await doomed.start(on.plan(id))
          fate.armed = true
          const done = verb === 'start' ? doomed.start(on.plan(id)) : verb === 'stop' ? doomed.stop(id, 20) : doomed.destroy(id)
          await done.catch((fault: unknown) => fate.dead || Promise.reject(fault))
          effects = fate.count
          await doomed[Symbol.asyncDispose]()

          const next = await on.engine()
          await next.inspect(id)
          await next.start(on.plan(id))
          assert.equal((await next.inspect(id)).state, 'running', `after a death ${side} effect ${at}`)
          await next.destroy(id)
          assert.deepEqual(on.traces(), [], `after a death ${side} effect ${at}`)
          await next[Symbol.asyncDispose]()
        }
        if (effects < at) return assert(at > 1, `${verb} does nothing through its effects`)
      }
    })

  it('leaks are found without its records, and nothing owned is one', async (on) => {
    const engine = await on.engine()
    if (!engine.leaks) return
    assert.deepEqual(await engine.leaks(new Set()), [])
    await engine.start(on.plan('leak.0'))
    assert.deepEqual(await engine.leaks(new Set(['leak.0'])), [])
    const running = await engine.inspect('leak.0')
    const pid = running.state === 'running' ? running.pid : undefined
    const all = await engine.leaks(new Set(['other.0']))
    assert(all.some(({ kind }) => kind === 'file'))
    if (pid !== undefined) assert(all.some(({ kind, subject }) => kind === 'process' && subject.includes(String(pid))))
    writeFileSync(join(on.dir, 'strange'), '')
    assert.deepEqual(await engine.list(), ['leak.0'], 'a strange file is no guest')
    assert.equal((await engine.leaks(new Set(['leak.0']))).filter(({ subject }) => subject.includes('strange')).length, 1)
    await engine.destroy('leak.0')
    rmSync(join(on.dir, 'strange'))
    assert.deepEqual(await engine.leaks(new Set()), [])

    if (pid === undefined) return
    await engine.start(on.plan('leak.1'))
    for (const name of readdirSync(on.dir)) rmSync(join(on.dir, name), { recursive: true })
    const blind = await on.engine()
    const found = await blind.leaks?.(new Set())
    assert(found?.some(({ kind }) => kind === 'process'), 'a process whose files are gone is found')
    await engine.destroy('leak.1')
  })
}

function logs(subject: EngineSubject, it: It) {
  it('[P05] what the guest prints is kept, over a stop and a restart of the server', async (on) => {
    const prints = subject.prints ?? assert.fail('the subject has to say what its guest prints')
    const engine = await on.engine()
    await engine.start(on.plan('says.0'))
    await eventually(async () => assert.match(text(await engine.logs?.('says.0')), prints))
    assert.equal((await engine.logs?.('says.0', { limitBytes: 3 }))?.length, 3)
    await engine.stop('says.0', 20)
    const kept = text(await engine.logs?.('says.0'))
    assert.match(kept, prints, 'a stop keeps the log')
    await engine[Symbol.asyncDispose]()
    const next = await on.engine()
    assert.equal(text(await next.logs?.('says.0')), kept)
    await next.start(on.plan('says.0'))
    assert((text(await next.logs?.('says.0'))).startsWith(kept), 'a new start keeps what was said before')
    await eventually(async () => assert((text(await next.logs?.('says.0'))).length > kept.length, 'and adds to it'))
    await next.destroy('says.0')
    await refused(next.logs?.('says.0'), 'not_found')
  })
}

function consoles(subject: EngineSubject, it: It) {
  it('the serial line has any number of readers and ends with the guest', async (on) => {
    const engine = await on.engine()
    await engine.start(on.plan('talks.0'))
    const open = async () => heard((await engine.console?.('talks.0')) ?? assert.fail('features.console without console'))
    const [one, two] = [await open(), await open()]
    await eventually(() => assert(one.text.length > 0 && two.text.length > 0, 'nothing was heard'))
    one.stream.destroy()
    const sofar = two.text.length
    await eventually(() => assert(two.text.length > sofar, 'one who left took the line from the other'))
    const three = await open()
    await eventually(() => assert(three.text.length > 0, 'a late reader hears nothing'))
    await engine.stop('talks.0', 20)
    await Promise.all([two.ended, three.ended])
    await refused(engine.console?.('talks.0'), 'not_ready')
    await engine.destroy('talks.0')
  })

  it('[F18] the serial line takes what is written', async (on) => {
    const { plan, send, comes } = subject.answers ?? assert.fail('the subject has to name a guest that answers')
    const engine = await on.engine()
    await engine.start(plan('reply.0', on.disks))
    const line = heard((await engine.console?.('reply.0')) ?? assert.fail('features.console without console'))
    line.stream.write(send)
    await eventually(() => assert.match(line.text, comes))
    line.stream.destroy()
    await engine.destroy('reply.0')
  })
}

function pauses(it: It) {
  it('a guest pauses and resumes, each as often as it is asked', async (on) => {
    const engine = await on.engine()
    await engine.start(on.plan('calm.0'))
    const before = await engine.inspect('calm.0')
    for (let times = 0; times < 2; times++) await engine.pause?.('calm.0')
    assert.equal((await engine.inspect('calm.0')).state, 'paused')
    for (let times = 0; times < 2; times++) await engine.resume?.('calm.0')
    assert.deepEqual(await engine.inspect('calm.0'), before)
    await engine.pause?.('calm.0')
    await engine[Symbol.asyncDispose]()
    const next = await on.engine()
    assert.equal((await next.inspect('calm.0')).state, 'paused', 'a new server finds it paused')
    await next.destroy('calm.0')
  })
}

const disksOf = (plan: Plan) => plan.disks.map(({ path }) => readFileSync(path).toString('base64'))

const text = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString('latin1')
