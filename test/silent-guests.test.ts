import assert from 'node:assert/strict'
import { test } from 'node:test'
import { queue } from '../src/base/queue.ts'
import type { Beat, Channel } from '../src/drivers/channel/channel.ts'
import type { Engine } from '../src/drivers/engine/engine.ts'
import type { SessionFrame, SessionRequest } from '../src/model/session.ts'
import { stage } from './crash/stage.ts'
import { temporaryDir } from './fake-cloud.ts'

const spec = (count: number) => ({ groups: [{ image: 'fake:micro', count }], lifetimeSeconds: null })
const exec = (more: Partial<Extract<SessionRequest, { type: 'exec' }>> = {}): SessionRequest => ({ type: 'exec', vms: { envs: ['e'] }, command: { shell: 'sleep 120; echo done' }, ...more })
const beatMs = 10_000

/** Guests that say every ten seconds how they are, and whose processors can be made to stand still. */
function still() {
  const stopped = new Set<number>()
  const changed = queue<string>()
  const indexOf = (id: string) => Number(id.split('.')[1])
  let isPaused = false
  const engine = (one: Engine): Engine => ({
    ...one,
    async inspect(id) {
      const found = await one.inspect(id)
      return isPaused && found.state === 'running' && stopped.has(indexOf(id)) ? { state: 'paused' } : found
    },
    async *watch(call) {
      const both = queue<string>(call.signal)
      const pass = async (ids: AsyncIterable<string>) => {
        for await (const id of ids) both.push(id)
      }
      pass(one.watch(call)).catch(() => undefined)
      pass(changed).catch(() => undefined)
      yield* both
    },
    channel(id) {
      const channel = one.channel!(id)
      const hears = () => !stopped.has(indexOf(id))
      const never = (signal?: AbortSignal) => new Promise<never>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
      const beats = async function* ({ signal }: { signal?: AbortSignal }): AsyncGenerator<Beat> {
        const said = queue<Beat>(signal)
        hearts.push(() => hears() && said.push({ load: 0, memUsedMb: 1, memTotalMb: 100 }))
        yield* said
      }
      const ping: Channel['ping'] = (call) => (hears() ? channel.ping(call) : never(call?.signal))
      return Object.create(channel, { features: { value: { ...channel.features, beats: true } }, beats: { value: beats }, ping: { value: ping } }) as Channel
    },
  })
  const hearts: (() => void)[] = []
  return {
    engine,
    stop: (...indices: number[]) => indices.forEach((index) => stopped.add(index)),
    /** By the engine, which tells of it. */
    pause(id: string) {
      isPaused = true
      stopped.add(indexOf(id))
      changed.push(id)
    },
    goOn(id?: string) {
      isPaused = false
      stopped.clear()
      if (id !== undefined) changed.push(id)
    },
    beat: () => hearts.forEach((one) => one()),
  }
}

async function begun(guests: ReturnType<typeof still>, count: number, dir: string) {
  const ground = stage(dir, { around: { engine: guests.engine } })
  await ground.begin()
  await ground.drive(ground.cloud().collection('env').put('e', { spec: spec(count) }))
  const pass = async (ms: number) => {
    for (let at = 0; at < ms; at += beatMs) {
      guests.beat()
      await ground.wait(beatMs)
    }
  }
  await pass(beatMs)
  const vm = async (name: string) => (await ground.drive(ground.cloud().collection('vm').get(name)))?.answer
  /** Opens a session; what it says gathers. */
  const open = async (request: SessionRequest) => {
    const session = (await ground.drive(ground.cloud().open(request)))?.answer
    assert.ok(session)
    const frames: SessionFrame[] = []
    const look = async () => {
      for await (const frame of session.output) frames.push(frame)
    }
    look().catch(() => undefined)
    return { frames, notes: () => frames.flatMap((frame) => (frame.type === 'note' ? [frame] : [])), endOf: (name: string) => frames.find((frame) => (frame.type === 'exit' || frame.type === 'problem') && frame.vm === name) }
  }
  return { pass, vm, open, [Symbol.asyncDispose]: ground.drop }
}

test('F17: while a command is under way its caller is told of a guest that falls silent, once, and that it answers again; and it is waited for', async () => {
  using home = temporaryDir('silent', 'memory')
  const guests = still()
  await using on = await begun(guests, 3, home.dir)
  const { pass, open, vm } = on
  const { frames, notes, endOf } = await open(exec())
  await pass(beatMs)
  guests.stop(1)
  await pass(60_000)
  const [note, ...more] = notes()
  assert.deepEqual([note?.vm, more], ['e.1', []])
  assert.match(note?.text ?? '', /^e\.1: the guest is silent for (3\d|4\d) s, and the command is still waited for, without a limit \(--time-out sets one\); see what it prints: `tt env logs e\.1`$/)
  assert.deepEqual([(await vm('e.1'))?.status?.guest?.state, endOf('e.1')], ['lost', undefined])
  const { endOf: refused } = await open(exec({ vms: { envs: ['e'], indices: [1] } }))
  await pass(beatMs)
  assert.equal((refused('e.1') as { problem?: { code: string } }).problem?.code, 'unavailable')
  guests.goOn()
  await pass(60_000)
  assert.match(notes()[1]?.text ?? '', /^e\.1: the guest answers again, after 1 min [12]\d s$|^e\.1: the guest answers again, after [78]\d s$/)
  assert.equal(notes().length, 2)
  assert.deepEqual(['e.0', 'e.1', 'e.2'].map((name) => endOf(name)), ['e.0', 'e.1', 'e.2'].map((name) => ({ type: 'exit', vm: name, code: 0 })))
  assert.equal(frames.filter(({ type }) => type === 'stdout').length, 3)
})

test('F07: a command with a limit says which, and ends by it in a guest that is silent', async () => {
  using home = temporaryDir('silent-limit', 'memory')
  const guests = still()
  await using on = await begun(guests, 1, home.dir)
  const { pass, open } = on
  const { notes, endOf } = await open(exec({ timeoutMs: 90_000 }))
  guests.stop(0)
  await pass(100_000)
  assert.match(notes()[0]?.text ?? '', /and the command is still waited for, until 1 min 30 s are over; see/)
  assert.deepEqual((endOf('e.0') as { problem?: { code: string } }).problem?.code, 'timeout')
})

test('a VM that is paused has not ended: it says so, its command goes on when it does, and nothing is made anew', async () => {
  using home = temporaryDir('paused', 'memory')
  const guests = still()
  await using on = await begun(guests, 1, home.dir)
  const { pass, open, vm } = on
  const { notes, endOf } = await open(exec())
  const before = await vm('e.0')
  guests.pause(before?.uid ?? '')
  await pass(beatMs)
  const paused = await vm('e.0')
  assert.deepEqual([paused?.status?.state, paused?.status?.problem?.code, paused?.status?.since], ['ready', 'unavailable', before?.status?.since])
  assert.match(paused?.status?.problem?.message ?? '', /^it is paused/)
  await pass(50_000)
  assert.match(notes()[0]?.text ?? '', /^e\.0: the guest is silent for \d+ s \(it is paused: .*\), and the command is still waited for/)
  guests.goOn(before?.uid)
  await pass(120_000)
  assert.deepEqual(endOf('e.0'), { type: 'exit', vm: 'e.0', code: 0 })
  const after = await vm('e.0')
  assert.deepEqual([after?.status?.problem, after?.status?.since], [undefined, before?.status?.since])
  assert.equal(notes().length, 2)
})
