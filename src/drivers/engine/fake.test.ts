import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { plainEffects } from '../../base/effects.ts'
import { silentLog } from '../../base/log.ts'
import { type ManualWorld, manualWorld } from '../../base/manual-world.ts'
import { realWorld, wakefulness, type World } from '../../base/world.ts'
import { TtError } from '../../model/errors.ts'
import type { Plan } from '../../model/plan.ts'
import { channelContract } from '../channel/channel.contract.ts'
import { filesContract } from '../channel/files.contract.ts'
import { engineContract } from './engine.contract.ts'
import type { Engine } from './engine.ts'
import { fake } from './fake.ts'
import { ground, heard } from './ground.ts'

const planOf = (id: string, options: Record<string, unknown> = {}): Plan => ({
  id,
  hostname: id.replace('.', '-'),
  cpu: 1,
  memMb: 128,
  arch: 'amd64',
  boot: 'kernel',
  files: {},
  disks: [],
  nics: [],
  ports: [],
  options,
})

/** With a disk that is really there, so that the suite can see it left alone. */
const planWithDisk = (id: string, dir: string): Plan => {
  const path = join(dir, `${id}.raw`)
  writeFileSync(path, 'a disk')
  return { ...planOf(id), disks: [{ path, format: 'raw', sizeBytes: 512 }] }
}

await engineContract({
  name: 'fake',
  factory: fake,
  plan: planWithDisk,
  badPlan: (id) => planOf(id, { startMs: -1 }),
  failingPlan: { plan: (id) => planOf(id, { failStart: 1 }), says: /told not to start/ },
  async hardware(engine, id) {
    const said = Buffer.from((await engine.logs?.(id)) ?? []).toString()
    const [, cpu, memMb] = [...said.matchAll(/begins with (\d+) cpu and (\d+) MB/g)].at(-1) ?? []
    return { cpu: Number(cpu), memMb: Number(memMb) }
  },
  prints: /fake-guest says-0: begins with 1 cpu/,
  answers: { plan: (id) => planOf(id), send: 'hostname\n', comes: /\nreply-0\r\n/ },
})

const homeOf = (dir: string, world: World = realWorld) => ({ dir, mark: 'tests', world, effects: plainEffects(), log: silentLog })

async function channelUnderTest() {
  const on = ground({ factory: fake, plan: (id) => planOf(id) })
  const engine = await on.engine()
  await engine.start(planOf('one.0'))
  const channel = engine.channel?.('one.0') ?? assert.fail('features.channel without channel')
  return {
    channel,
    interrupt: () => engine.stop('one.0', 0).then(() => engine.start(planOf('one.0'))),
    async [Symbol.asyncDispose]() {
      await channel[Symbol.asyncDispose]()
      await on.clear()
    },
  }
}

channelContract({ name: 'fake', make: channelUnderTest })
filesContract({ name: 'fake', make: async () => ({ ...(await channelUnderTest()), dir: '/tmp' }) })

/** An engine in a time of its own, and others on the same directory as after a restart. */
async function inManualTime(options: Record<string, unknown>, run: (on: { engine: Engine; world: ManualWorld; restarted(): Promise<Engine> }) => Promise<void>, seed = 1) {
  const on = ground({ factory: fake, plan: (id) => planOf(id) })
  const world = manualWorld(seed)
  const engines: Engine[] = []
  const restarted = async () => {
    await engines.at(-1)?.[Symbol.asyncDispose]()
    const engine = await fake(homeOf(on.dir, world), options)
    engines.push(engine)
    return engine
  }
  try {
    await run({ engine: await restarted(), world, restarted })
  } finally {
    await engines.at(-1)?.[Symbol.asyncDispose]()
    await on.clear()
  }
  assert.equal(world.timers, 0, 'a timer is left')
}

/** What a promise has come to by now. */
function outcomeOf(promise: Promise<unknown>) {
  const outcome: { now: unknown } = { now: 'waiting' }
  promise.then(
    (value) => (outcome.now = value ?? 'done'),
    (fault: unknown) => (outcome.now = fault instanceof TtError ? fault.code : fault),
  )
  return outcome
}

const exec = async (engine: Engine, id: string, shell: string) => {
  let said = ''
  const exit = await engine.channel!(id).exec({ shell }, { output: (stream, bytes) => void (said += `${stream}: ${Buffer.from(bytes).toString()}`) })
  return { said, exit }
}

const stateOf = async (engine: Engine, id: string) => (await engine.inspect(id)).state

test('without options nothing takes time and there is no timer', () =>
  inManualTime({}, async ({ engine, world }) => {
    await engine.start(planOf('env.0'))
    assert.equal((await exec(engine, 'env.0', 'uname -a; hostname')).said, 'stdout: fake-guest env-0 1 nothing runs here none\nstdout: env-0\n')
    assert.equal(world.timers, 0)
    await engine.stop('env.0', 1000)
    await engine.destroy('env.0')
  }))

test('starting, booting, commands and stopping take the time they are given', () =>
  inManualTime({ startMs: 100, bootMs: 2000, execMs: 10, stopMs: 300 }, async ({ engine, world, restarted }) => {
    const starting = outcomeOf(engine.start(planOf('env.0')))
    await world.advance(99)
    assert.deepEqual([starting.now, await stateOf(engine, 'env.0')], ['waiting', 'absent'])
    await world.advance(1)
    assert.deepEqual([starting.now, await stateOf(engine, 'env.0')], ['done', 'running'])

    engine = await restarted()
    const channel = engine.channel!('env.0')
    const booting = outcomeOf(channel.ready())
    await world.advance(1999)
    assert.equal(booting.now, 'waiting')
    await world.advance(1)
    assert.equal(booting.now, 'done')

    const running = outcomeOf(channel.exec({ argv: ['sleep', '0.5'] }, { output: () => undefined }))
    await world.advance(509)
    assert.equal(running.now, 'waiting')
    await world.advance(1)
    assert.deepEqual(running.now, { code: 0 })

    const stopping = outcomeOf(engine.stop('env.0', 1000))
    await world.advance(299)
    assert.deepEqual([stopping.now, await stateOf(engine, 'env.0')], ['waiting', 'running'])
    await world.advance(1)
    assert.deepEqual(await engine.inspect('env.0'), { state: 'stopped', exit: 'halted when it was asked to' })

    await engine.start(planOf('env.0', { startMs: 0, stopMs: 5000 }))
    const forced = outcomeOf(engine.stop('env.0', 1000))
    await world.advance(1000)
    assert.equal(forced.now, 'done')
    assert.deepEqual(await engine.inspect('env.0'), { state: 'stopped', exit: 'did not halt within 1000 ms and was ended' })
  }))

test('a guest that ends by itself does so also while no server looks, and is told by watch', () =>
  inManualTime({ exitAfterMs: 5000 }, async ({ engine, world, restarted }) => {
    const calls = new AbortController()
    const watch = async (from: Engine) => {
      const seen: string[] = []
      for await (const id of from.watch({ signal: calls.signal })) seen.push(id)
      return seen
    }
    await engine.start(planOf('env.0'))
    const first = watch(engine)
    await world.advance(4999)
    assert.equal(await stateOf(engine, 'env.0'), 'running')
    const second = await restarted()
    const seen = watch(second)
    await world.advance(1)
    assert.deepEqual(await second.inspect('env.0'), { state: 'stopped', exit: 'ended by itself' })
    calls.abort()
    assert.deepEqual([await first, await seen], [[], ['env.0']])

    await second.start(planOf('env.0'))
    const third = await restarted()
    world.oversleep(10_000)
    assert.equal(await stateOf(third, 'env.0'), 'stopped')
    await third.start(planOf('env.0', { exitAfterMs: 60_000 }))
    await world.advance(30_000)
    assert.equal(await stateOf(third, 'env.0'), 'running', 'the plan has the last word')
    const lost = outcomeOf(exec(third, 'env.0', 'sleep 1000'))
    await world.advance(30_000)
    assert.equal(lost.now, 'unavailable')
    await third.destroy('env.0')
  }))

test('starts and commands fail as they are told to, and the same seed fails the same', async () => {
  const outcomes = async (options: Record<string, unknown>, worldSeed = 1) => {
    const found: string[] = []
    await inManualTime(options, async ({ engine }) => {
      for (let n = 0; n < 200; n++) found.push(await engine.start(planOf(`env.${n}`)).then(() => '+', (fault: TtError) => (assert.equal(fault.code, 'failed'), '-')))
    }, worldSeed)
    return found.join('')
  }
  const fails = (text: string) => text.replaceAll('+', '').length
  const seeded = await outcomes({ failStart: 0.25, seed: 7 })
  assert(fails(seeded) > 25 && fails(seeded) < 80, `${fails(seeded)} of 200 failed`)
  assert.equal(await outcomes({ failStart: 0.25, seed: 7 }, 2), seeded)
  assert.notEqual(await outcomes({ failStart: 0.25, seed: 8 }), seeded)
  assert.equal(await outcomes({ failStart: 0.25 }, 5), await outcomes({ failStart: 0.25 }, 5), 'without a seed, the world has one')
  assert.notEqual(await outcomes({ failStart: 0.25 }, 5), await outcomes({ failStart: 0.25 }, 6))
  assert.equal(await outcomes({ failStart: { every: 4 } }), '+++-'.repeat(50))
  assert.equal((await outcomes({ failStart: ['env.1*', '*.7'] })).slice(0, 21), '+-+++++-++----------+')
  assert.equal(fails(await outcomes({ failStart: 0 })), 0)

  await inManualTime({ failStart: 0.9, seed: 1 }, async ({ engine }) => {
    let tries = 1
    for (; tries < 200; tries++) if (await engine.start(planOf('env.0')).then(() => true, () => false)) break
    assert(tries > 1 && tries < 200, `${tries} tries: each has a chance of its own`)
  })

  await inManualTime({ failExec: { every: 2 } }, async ({ engine }) => {
    await engine.start(planOf('env.0'))
    assert.deepEqual((await exec(engine, 'env.0', 'true')).exit, { code: 0 })
    await assert.rejects(exec(engine, 'env.0', 'true'), (fault: TtError) => fault.code === 'failed')
    assert.deepEqual((await exec(engine, 'env.0', 'true')).exit, { code: 0 })
  })
})

test('a delay may be a range, from which every guest has its own', () =>
  inManualTime({ bootMs: [1000, 3000], seed: 3 }, async ({ engine, world }) => {
    const ids = Array.from({ length: 50 }, (_, n) => `env.${n}`)
    await Promise.all(ids.map((id) => engine.start(planOf(id))))
    const booting = ids.map((id) => outcomeOf(engine.channel!(id).ready()))
    const ready = () => booting.filter(({ now }) => now === 'done').length
    await world.advance(999)
    assert.equal(ready(), 0)
    await world.advance(1001)
    assert(ready() > 10 && ready() < 40, `${ready()} of 50`)
    await world.advance(1000)
    assert.equal(ready(), 50)
  }))

test('a channel is closed when its guest is gone for good, and halts it when it is asked to', () =>
  inManualTime({}, async ({ engine, world }) => {
    await engine.start(planOf('env.0'))
    const channel = engine.channel!('env.0')
    await channel.halt?.()
    assert.equal(await stateOf(engine, 'env.0'), 'stopped')
    assert.equal(channel.closed.aborted, false)
    const waiting = outcomeOf(channel.ping())
    await world.advance(1000)
    assert.equal(waiting.now, 'waiting')
    await engine.start(planOf('env.0'))
    await world.advance(0)
    assert.equal(waiting.now, 'done')
    const { closed } = channel
    await engine.destroy('env.0')
    assert.equal(closed.aborted, true)
    assert.equal(engine.channel!('env.0').closed.aborted, true)
    await assert.rejects(engine.channel!('env.0').ready(), (fault: TtError) => fault.code === 'unavailable')
  }))

test('what waits ends with its call, its engine and nothing later', () =>
  inManualTime({ bootMs: 1000, exitAfterMs: 60_000 }, async ({ engine, world, restarted }) => {
    await engine.start(planOf('env.0'))
    const channel = engine.channel!('env.0')
    const calls = new AbortController()
    const given = [outcomeOf(channel.ready(calls)), outcomeOf(channel.exec({ argv: ['true'] }, { output: () => undefined }, calls))]
    calls.abort()
    await world.advance(0)
    assert.deepEqual(given.map(({ now }) => now), ['cancelled', 'cancelled'])
    assert.equal(world.timers, 1, 'only the end of the guest is waited for')
    await engine.stop('env.0', 0)
    assert.equal(world.timers, 0)

    await engine.start(planOf('env.0'))
    await world.advance(1000)
    const later = new AbortController()
    const stuck = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => undefined) }) }
    const reading = outcomeOf(channel.exec({ argv: ['cat'] }, { output: () => undefined, stdin: stuck }, later))
    const writing = outcomeOf(channel.exec({ argv: ['pwd'] }, { output: () => new Promise<never>(() => undefined) }, later))
    const sleeping = outcomeOf(channel.exec({ argv: ['sleep', '30'] }, { output: () => undefined }))
    await world.advance(1)
    later.abort()
    await world.advance(1)
    assert.deepEqual([reading.now, writing.now, sleeping.now], ['cancelled', 'cancelled', 'waiting'])

    const line = heard(await engine.console!('env.0'))
    await restarted()
    await world.advance(0)
    assert.equal(sleeping.now, 'unavailable')
    await line.ended
    await assert.rejects(channel.ping(), (fault: TtError) => fault.code === 'unavailable')
  }))

test('logs tell of the runs before', () =>
  inManualTime({}, async ({ engine, world }) => {
    await engine.start(planOf('env.0'))
    await world.advance(2500)
    await engine.stop('env.0', 0)
    await engine.start(planOf('env.0'))
    const lines = Buffer.from(await engine.logs!('env.0')).toString().split('\r\n')
    assert.deepEqual(lines.map((line) => line.replace(/.*: /, '').split(' ')[0]), ['begins', 'ready', 'alive', 'alive', 'halted', 'begins', 'ready', ''])
  }))

test('a watcher that is slow is told of each guest once', () =>
  inManualTime({}, async ({ engine }) => {
    const calls = new AbortController()
    const watched = engine.watch(calls)[Symbol.asyncIterator]()
    await engine.start(planOf('env.0'))
    await engine.stop('env.0', 0)
    await engine.start(planOf('env.1'))
    const seen = [(await watched.next()).value, (await watched.next()).value]
    assert.deepEqual(seen, ['env.0', 'env.1'])
    await engine.destroy('env.0')
    assert.equal((await watched.next()).value, 'env.0')
    calls.abort()
    assert.equal((await watched.next()).done, true)
  }))

test('endless output leaves others their turn, and commands leave nothing behind', { timeout: 20_000 }, async () => {
  using _awake = wakefulness()
  const on = ground({ factory: fake, plan: (id) => planOf(id) })
  const engine = await on.engine()
  await engine.start(planOf('env.0'))
  const channel = engine.channel!('env.0')
  for (const command of [{ argv: ['head', '-c', '1000000000000', '/dev/zero'] }, { argv: ['cat'] }]) {
    const calls = new AbortController()
    const endless = (async function* () {
      for (;;) yield new Uint8Array(10)
    })()
    setTimeout(() => calls.abort(), 30)
    await assert.rejects(channel.exec(command, { output: () => undefined, stdin: endless }, calls), (fault: TtError) => fault.code === 'cancelled')
  }
  const run = async () => {
    for (let n = 0; n < 3000; n++) await channel.exec({ argv: ['true'] }, { output: () => undefined })
  }
  await run()
  const left: number[] = []
  for (let round = 0; round < 3; round++) {
    const before = usedBytes()
    await run()
    left.push(usedBytes() - before)
  }
  assert(Math.min(...left) < 300_000, `3,000 commands left ${left.join(', ')} bytes`)
  await on.clear()
})

test('10,000 guests start in less than a second, are found again, and need little memory', async (t) => {
  const on = ground({ factory: fake, plan: (id) => planOf(id) })
  try {
    const ids = Array.from({ length: 10_000 }, (_, n) => `env.${n}`)
    const plans = ids.map((id) => planOf(id))
    const effects = plainEffects()
    const before = usedBytes()
    const engine = await fake({ ...homeOf(on.dir), effects }, {})
    const took = await timed(() => Promise.all(plans.map((plan) => engine.start(plan))))
    const written = effects.count
    const fresh = usedBytes() - before
    await engine[Symbol.asyncDispose]()

    const again = await fake(homeOf(on.dir), {})
    const perGuest = Math.max(fresh, usedBytes() - before - fresh) / ids.length
    assert.equal((await again.list()).length, 10_000)
    const channels = ids.map((id) => again.channel!(id))
    const ready = await timed(async () => {
      for (const channel of channels) await channel.ready()
    })
    const withChannels = (usedBytes() - before) / ids.length
    const destroyed = await timed(() => Promise.all(ids.map((id) => again.destroy(id))))
    await again[Symbol.asyncDispose]()
    t.diagnostic(`10,000 guests: started in ${took.toFixed(0)} ms, ready in ${ready.toFixed(0)} ms, destroyed in ${destroyed.toFixed(0)} ms; ${perGuest.toFixed(0)} bytes each, ${withChannels.toFixed(0)} with an idle channel`)
    assert(took < 1000 && ready < 1000 && destroyed < 1000)
    assert(written < 50, `${written} writes`)
    assert(perGuest < 1000, `${perGuest} bytes a guest`)
    assert.deepEqual(on.traces(), [])
  } finally {
    await on.clear()
  }
})

/** Processor time in ms: the same whatever else the machine does. */
async function timed(run: () => Promise<unknown>): Promise<number> {
  const start = process.cpuUsage()
  await run()
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1000
}

const usedBytes = (): number => (setFlagsFromString('--expose-gc'), runInNewContext('gc')(), process.memoryUsage().heapUsed)

test('an option that is none is refused, by the engine and by a plan', async () => {
  const invalid = (fault: unknown) => fault instanceof TtError && fault.code === 'invalid'
  for (const options of [{ startMs: -1 }, { startMs: '5' }, { bootMs: [5, 1] }, { failStart: 2 }, { failStart: ['/'] }, { seed: 1.5 }, { startms: 1 }])
    await assert.rejects(fake(homeOf('/nowhere'), options), invalid, JSON.stringify(options))
  await inManualTime({}, async ({ engine }) => {
    for (const options of [{ seed: 1 }, { startMs: null }]) await assert.rejects(engine.start(planOf('env.0', options)), invalid)
    for (const change of [{ cpu: 0 }, { memMb: 0.5 }, { id: '../x' }, { id: '' }]) await assert.rejects(engine.start({ ...planOf('env.0'), ...change }), invalid)
    const unsupported = (fault: unknown) => fault instanceof TtError && fault.code === 'unsupported'
    await assert.rejects(engine.start({ ...planOf('env.0'), ports: ['tt.agent'] }), unsupported)
    await assert.rejects(engine.start({ ...planOf('env.0'), from: { dir: '/', engine: 'fake', version: '1' } }), unsupported)
    assert.deepEqual(await engine.list(), [])
  })
})
