import assert from 'node:assert/strict'
import { test } from 'node:test'
import { realWorld } from '../src/base/world.ts'
import { guard } from '../src/cloud/guard.ts'
import type { Engine } from '../src/drivers/engine/engine.ts'
import type { Link, NetworkDriver } from '../src/drivers/network/network.ts'
import type { Cloud } from '../src/model/cloud.ts'
import type { EnvAsked } from '../src/model/env.ts'
import type { TtError } from '../src/model/errors.ts'
import type { SessionFrame } from '../src/model/session.ts'
import type { VmState } from '../src/model/vm.ts'
import { memoryStore } from '../src/store/memory.ts'
import { fakeCloud, temporaryDir } from './fake-cloud.ts'

const spec = (count: number, more: Partial<EnvAsked> = {}): EnvAsked => ({ groups: [{ image: 'fake:micro', count }], lifetimeSeconds: 3600, ...more })
const within = (ms: number, what: string, signal = AbortSignal.timeout(ms)) => ({ signal, what })

/** Resolves when the condition holds, asked every few ms. */
async function until(holds: () => Promise<boolean>, { signal, what } = within(10_000, 'it')): Promise<void> {
  while (!(await holds())) {
    assert.ok(!signal.aborted, `${what} did not come in time`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

const phaseIs = (cloud: Cloud, name: string, phase: string) => async () => (await cloud.collection('env').get(name)).status?.phase === phase
const states = async (cloud: Cloud, name: string): Promise<(VmState | undefined)[]> => (await cloud.collection('vm').list({ under: name })).items.map(({ status }) => status?.state)
const allAre = (cloud: Cloud, name: string, state: VmState) => async () => (await states(cloud, name)).every((one) => one === state)
const isGone = (cloud: Cloud, name: string) => async () => !(await cloud.collection('env').list()).items.some((env) => env.name === name)

test('an ENV cannot take the uid, and with it the VMs, of another', async () => {
  using home = temporaryDir('uids')
  await using made = await fakeCloud(home)
  const envs = made.cloud.collection('env')
  await envs.put('one', { spec: spec(1), uid: 'abcd' })
  await assert.rejects(envs.put('two', { spec: spec(1), uid: 'abcd' }), (error: TtError) => error.code === 'conflict' && error.subject === 'env/two')
  const both = await Promise.allSettled(['three', 'four'].map((name) => envs.put(name, { spec: spec(1), uid: 'efgh' })))
  assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
})

test('of two users who take one name at once, one gets it and the other is refused', async () => {
  using home = temporaryDir('names')
  await using made = await fakeCloud(home)
  const [ann, bob] = ['ann', 'bob'].map((name) => guard(made.cloud, { name, role: 'user' })) as [Cloud, Cloud]
  for (let round = 0; round < 5; round++) {
    const name = `mine-${round}`
    const outcomes = await Promise.allSettled([ann.collection('env').put(name, { spec: spec(1) }), bob.collection('env').put(name, { spec: spec(3) })])
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1, 'one of them has it')
    const { owner, spec: kept } = await made.cloud.collection('env').get(name)
    assert.equal(kept.groups[0]?.count, owner === 'ann' ? 1 : 3, 'it is as its owner asked')
  }
  await Promise.all([ann.collection('env').put('twice', { spec: spec(1) }), ann.collection('env').put('twice', { spec: spec(1) })])
})

test('[M02] many changes at once on one ledger all come through', async () => {
  using home = temporaryDir('ledger')
  await using made = await fakeCloud(home)
  const envs = made.cloud.collection('env')
  await Promise.all(Array.from({ length: 150 }, (_, at) => envs.put(`e${at}`, { spec: spec(2) })))
  assert.deepEqual((await made.store.get('desired/ledger'))?.value, { cpu: 300, memMb: 300 * 128, diskMb: 300 * 1024, vms: 300 })
  await Promise.all(Array.from({ length: 150 }, (_, at) => envs.remove(`e${at}`)))
  await until(async () => (await envs.list()).items.length === 0)
  assert.deepEqual((await made.store.get('desired/ledger'))?.value, { cpu: 0, memMb: 0, diskMb: 0, vms: 0 })
})

test('an ENV made smaller while it is created is not ready by the VMs it loses', async () => {
  using home = temporaryDir('smaller')
  let slow = true
  const around = {
    engine: (engine: Engine): Engine => ({
      ...engine,
      async start(plan, call) {
        while (slow && /\.[01]$/.test(plan.id)) await new Promise((resolve) => setTimeout(resolve, 5))
        await engine.start(plan, call)
      },
      async destroy(id) {
        while (slow && /\.[2345]$/.test(id)) await new Promise((resolve) => setTimeout(resolve, 5))
        await engine.destroy(id)
      },
    }),
  }
  await using made = await fakeCloud({ ...home, around })
  const { cloud } = made
  await cloud.collection('env').put('e', { spec: spec(6) })
  await until(async () => (await states(cloud, 'e')).filter((state) => state === 'ready').length === 4)
  await cloud.collection('env').put('e', { spec: spec(2) })
  await new Promise((resolve) => setTimeout(resolve, 50))
  assert.equal((await cloud.collection('env').get('e')).status?.phase, 'creating')
  slow = false
  await until(phaseIs(cloud, 'e', 'ready'))
})

test('[F07] a VM that is not there does not hold up what is said to the others', async () => {
  using home = temporaryDir('stdin')
  let held = true
  const around = { engine: (engine: Engine): Engine => ({ ...engine, start: async (plan, call) => { while (held && plan.id.endsWith('.1')) await new Promise((resolve) => setTimeout(resolve, 5)); await engine.start(plan, call) } }) }
  await using made = await fakeCloud({ ...home, around })
  const { cloud } = made
  await cloud.collection('env').put('e', { spec: spec(2) })
  await until(async () => (await states(cloud, 'e'))[0] === 'ready' && (await states(cloud, 'e'))[1] === 'starting')
  await using session = await cloud.open({ type: 'exec', vms: { envs: ['e'] }, command: { shell: 'cat' }, stdin: true })
  const writer = session.input.getWriter()
  const frames: SessionFrame[] = []
  const read = (async () => {
    for await (const frame of session.output) frames.push(frame)
  })()
  const said = (async () => {
    for (const text of ['one ', 'two ', 'three']) await writer.write({ type: 'stdin', data: Buffer.from(text) })
    await writer.write({ type: 'eof' })
  })()
  const late = Symbol('late')
  assert.notEqual(await Promise.race([Promise.all([read, said]), new Promise((resolve) => setTimeout(() => resolve(late), 3000))]), late, 'the session ended')
  const output = frames.flatMap((frame) => (frame.type === 'stdout' && frame.vm === 'e.0' ? [...frame.data] : []))
  assert.equal(Buffer.from(output).toString(), 'one two three')
  assert.ok(frames.some((frame) => frame.type === 'problem' && frame.vm === 'e.1'))
  held = false
})

test('[fault 30] removing an ENV does not wait for the slow starts of another, and what is not wanted any more is not started', async () => {
  using home = temporaryDir('starving')
  const started: string[] = []
  let slow = false
  const around = {
    engine: (engine: Engine): Engine => ({
      ...engine,
      features: { ...engine.features, startsAtOnce: 2 },
      async start(plan, call) {
        started.push(plan.id)
        while (slow) await new Promise((resolve) => setTimeout(resolve, 5))
        await engine.start(plan, call)
      },
    }),
  }
  await using made = await fakeCloud({ ...home, around })
  const envs = made.cloud.collection('env')
  await envs.put('small', { spec: spec(1) })
  await until(phaseIs(made.cloud, 'small', 'ready'))
  slow = true
  await envs.put('big', { spec: spec(600) })
  await until(async () => started.length >= 3)
  await envs.remove('small')
  await until(isGone(made.cloud, 'small'), within(3000, 'the end of the small ENV'))
  await envs.remove('big')
  await new Promise((resolve) => setTimeout(resolve, 100))
  slow = false
  await until(isGone(made.cloud, 'big'))
  assert.ok(started.length <= 10, `${started.length} were started although nobody wanted them`)
  assert.deepEqual(await made.leaks(), [])
})

test('a guest that hangs is stopped all the same', async () => {
  using home = temporaryDir('hanging')
  const hanging = (engine: Engine): Engine => ({
    ...engine,
    channel: (id) => ({ ...(engine.channel as NonNullable<Engine['channel']>)(id), halt: (call) => new Promise((_, reject) => call?.signal?.addEventListener('abort', () => reject(call.signal?.reason))) }),
  })
  await using made = await fakeCloud({ ...home, around: { engine: hanging } })
  const { cloud } = made
  await cloud.collection('env').put('e', { spec: spec(1) })
  await until(phaseIs(cloud, 'e', 'ready'))
  await cloud.collection('env').put('e', { spec: spec(1, { stopped: true }) })
  await until(allAre(cloud, 'e', 'stopped'), within(15_000, 'the end of the guest'))
})

test('a stop that was cut short, and was taken back, does not leave the VM ended', async () => {
  using home = temporaryDir('stopping')
  let cut: (() => Promise<unknown>) | undefined
  const around = {
    engine: (engine: Engine): Engine => ({
      ...engine,
      async stop(id, graceMs, call) {
        await engine.stop(id, graceMs, call)
        const act = cut
        cut = undefined
        if (!act) return
        await act()
        throw new Error('as if the server were killed here')
      },
    }),
  }
  await using made = await fakeCloud({ ...home, around })
  const { cloud } = made
  await cloud.collection('env').put('e', { spec: spec(1) })
  await until(phaseIs(cloud, 'e', 'ready'))
  cut = () => cloud.collection('env').put('e', { spec: spec(1) })
  await cloud.collection('env').put('e', { spec: spec(1, { stopped: true }) })
  await until(async () => cut === undefined)
  await new Promise((resolve) => setTimeout(resolve, 300))
  await until(allAre(cloud, 'e', 'ready'), within(3000, 'the VM'))
})

test('[E08] a living ENV can be cut off from the outside', async () => {
  using home = temporaryDir('denied')
  const links = new Map<string, Link>()
  const around = { network: (network: NetworkDriver): NetworkDriver => ({ ...network, change: async (wish) => (wish.put.forEach((link) => links.set(link.id, link)), network.change(wish)) }) }
  await using made = await fakeCloud({ ...home, around })
  await made.cloud.collection('env').put('e', { spec: spec(2) })
  await until(phaseIs(made.cloud, 'e', 'ready'))
  await made.cloud.collection('env').put('e', { spec: spec(2, { denyOutgoing: true }) })
  await until(async () => [...links.values()].every(({ denyOutgoing }) => denyOutgoing), within(3000, 'the change of its links'))
})

test('a watch tells of the end of VMs that were never claimed', async () => {
  using home = temporaryDir('unclaimed')
  await using made = await fakeCloud(home)
  const { cloud } = made
  await assert.rejects(cloud.collection('env').put('e', { spec: spec(4, { host: 'another' }) }), (error: TtError) => error.code === 'not_found')
  await made.store.commit([{ key: 'actual/host/another', value: (await made.store.get('actual/host/one'))?.value }])
  await until(async () => (await cloud.collection('host').list()).items.length === 2)
  await cloud.collection('env').put('e', { spec: spec(4, { host: 'another' }) })
  const gone: string[] = []
  const stop = new AbortController()
  const watching = (async () => {
    for await (const change of cloud.collection('vm').watch({ under: 'e' }, { signal: stop.signal })) if (change.type === 'gone') gone.push(change.name)
  })()
  await new Promise((resolve) => setTimeout(resolve, 20))
  await cloud.collection('env').put('e', { spec: spec(2, { host: 'another' }) })
  await until(async () => gone.length === 2, within(2000, 'their end'))
  stop.abort()
  await watching
})

test('[H13] a VM takes commands after a restart also when its image is gone', async () => {
  using home = temporaryDir('imageless')
  await using store = memoryStore({ world: realWorld })
  {
    await using made = await fakeCloud({ ...home, store })
    await made.cloud.collection('env').put('e', { spec: spec(1) })
    await until(phaseIs(made.cloud, 'e', 'ready'))
  }
  await using made = await fakeCloud({ ...home, store, around: { engine: (engine) => ({ ...engine, images: [] }) } })
  const exits = async () => {
    await using session = await made.cloud.open({ type: 'exec', vms: { envs: ['e'] }, command: { shell: 'true' } })
    return (await Array.fromAsync(session.output)).some((frame) => frame.type === 'exit' && frame.code === 0)
  }
  await until(exits, within(3000, 'its channel'))
})

test('[M09] a VM that was added and could not be made is named by its ENV', async () => {
  using home = temporaryDir('added')
  await using made = await fakeCloud({ ...home, engine: { failStart: ['*.1'] } })
  const envs = made.cloud.collection('env')
  await envs.put('e', { spec: spec(1) })
  await until(phaseIs(made.cloud, 'e', 'ready'))
  await envs.put('e', { spec: spec(2) })
  await until(async () => (await envs.get('e')).status?.problems !== undefined)
  const { phase, problems } = (await envs.get('e')).status ?? {}
  assert.equal(phase, 'ready')
  assert.deepEqual(problems?.map(({ vm, problem }) => [vm, problem.subject]), [['e.1', 'vm/e.1']])
})

test('a server told another subnet than its VMs have says so', async () => {
  using home = temporaryDir('subnet')
  await using store = memoryStore({ world: realWorld })
  {
    await using made = await fakeCloud({ ...home, store })
    await made.cloud.collection('env').put('e', { spec: spec(1) })
    await until(phaseIs(made.cloud, 'e', 'ready'))
  }
  const [vm] = (await store.list('actual/vm/')).items
  await store.commit([{ key: vm?.key ?? '', value: { ...(vm?.value as object), ip: '10.99.0.2', slice: '10.99.0.0/28' } }])
  await assert.rejects(fakeCloud({ ...home, store }), (error: TtError) => error.code === 'conflict' && error.message.includes('10.99.0.2') && error.remedy !== undefined)
})
