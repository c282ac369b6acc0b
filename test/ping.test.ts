import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Cloud } from '../src/model/cloud.ts'
import type { EnvAsked } from '../src/model/env.ts'
import type { SessionFrame, SessionRequest } from '../src/model/session.ts'
import { fakeCloud, temporaryDir } from './fake-cloud.ts'

const spec = (count: number, more: Partial<EnvAsked> = {}): EnvAsked => ({ groups: [{ image: 'fake:micro', count }], lifetimeSeconds: null, ...more })

async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
  for (const end = performance.now() + 10_000; !(await holds()); await new Promise((resolve) => setTimeout(resolve, 5))) assert.ok(performance.now() < end, `${what} did not come in time`)
}

const statesOf = async (cloud: Cloud, env: string) => (await cloud.collection('vm').list({ under: env })).items.map(({ status }) => status?.state)
const allAre = (cloud: Cloud, env: string, state: string) => until(async () => (await statesOf(cloud, env)).every((one) => one === state), `${state} VMs of ${env}`)

async function run(cloud: Cloud, request: SessionRequest): Promise<SessionFrame[]> {
  await using session = await cloud.open(request)
  return await Array.fromAsync(session.output)
}

/** What each VM answered: `alive`, or the code of its problem. */
async function pinged(cloud: Cloud, env: string, timeoutMs = 200): Promise<Record<string, string>> {
  const frames = await run(cloud, { type: 'ping', vms: { envs: [env] }, timeoutMs })
  const ends = frames.flatMap((frame) => (frame.type === 'exit' ? [[frame.vm, 'alive']] : frame.type === 'problem' ? [[frame.vm ?? '', frame.problem.code]] : []))
  assert.equal(frames.filter(({ type }) => type === 'begin').length, ends.length, 'each begins and ends once')
  return Object.fromEntries(ends) as Record<string, string>
}

test('G01: fault 10: a ping tells exactly the silent VMs, and kicking these by uid leaves every living one', async () => {
  using home = temporaryDir('ping')
  await using made = await fakeCloud({ ...home, engine: { silent: ['*.3', '*.7'] } })
  const { cloud } = made
  await cloud.collection('env').put('e', { spec: spec(10) })
  await allAre(cloud, 'e', 'ready')
  const answers = await pinged(cloud, 'e')
  const silent = Object.keys(answers).filter((vm) => answers[vm] === 'timeout')
  assert.deepEqual(silent.sort(), ['e.3', 'e.7'])
  assert.equal(Object.values(answers).filter((answer) => answer === 'alive').length, 8)

  const { items } = await cloud.collection('vm').list({ under: 'e' })
  const uids = new Set(items.filter(({ name }) => silent.includes(name)).map(({ uid }) => uid))
  const kicked = items.filter(({ uid }) => uids.has(uid)).map(({ spec: { index } }) => index)
  const env = await cloud.collection('env').get('e')
  await cloud.collection('env').put('e', { spec: { ...env.spec, kicked }, expect: env.revision })
  await until(async () => (await statesOf(cloud, 'e')).length === 8, 'the end of the silent')
  assert.deepEqual(new Set(Object.values(await pinged(cloud, 'e'))), new Set(['alive']))
})

test('fault 10: a VM that is still booting, or that nobody has claimed, is not dead', async () => {
  using home = temporaryDir('ping-booting')
  await using made = await fakeCloud({ ...home, engine: { bootMs: 60_000 } })
  const { cloud, store } = made
  await store.commit([{ key: 'actual/host/elsewhere', value: (await store.get('actual/host/one'))?.value }])
  await cloud.collection('env').put('boots', { spec: spec(2) })
  await allAre(cloud, 'boots', 'booting')
  assert.deepEqual(await pinged(cloud, 'boots', 50), { 'boots.0': 'not_ready', 'boots.1': 'not_ready' })
  await until(async () => (await cloud.collection('host').list()).items.length === 2, 'the other host')
  await cloud.collection('env').put('waits', { spec: spec(1, { host: 'elsewhere' }) })
  assert.deepEqual(await pinged(cloud, 'waits', 50), { 'waits.0': 'not_ready' })
})

test('G01: one that boots for longer than its ENV allows is dead', async () => {
  using home = temporaryDir('ping-late')
  let late = false
  await using made = await fakeCloud({
    ...home,
    engine: { silent: [] },
    around: { engine: (engine) => ({ ...engine, channel: (id) => ({ ...engine.channel!(id), ...(late && id.endsWith('.1') ? { ready: () => new Promise(() => undefined), ping: () => new Promise((_, reject) => setTimeout(() => reject(new Error('x')), 20)) } : {}) }) }) },
  })
  const { cloud } = made
  await cloud.collection('env').put('e', { spec: spec(1, { deadlineSeconds: 1 }) })
  await allAre(cloud, 'e', 'ready')
  late = true
  await cloud.collection('env').put('e', { spec: spec(2, { deadlineSeconds: 1 }) })
  await until(async () => (await statesOf(cloud, 'e'))[1] === 'booting', 'the second')
  assert.deepEqual(await pinged(cloud, 'e'), { 'e.0': 'alive', 'e.1': 'not_ready' })
  await new Promise((resolve) => setTimeout(resolve, 1100))
  assert.deepEqual(await pinged(cloud, 'e'), { 'e.0': 'alive', 'e.1': 'timeout' })
})

test('G01: one that has ended by itself is dead at once', async () => {
  using home = temporaryDir('ping-ended')
  await using made = await fakeCloud({ ...home, engine: { exitAfterMs: 300 } })
  await made.cloud.collection('env').put('e', { spec: spec(1) })
  await allAre(made.cloud, 'e', 'stopped')
  assert.deepEqual(await pinged(made.cloud, 'e', 60_000), { 'e.0': 'timeout' })
})

test('fault 17: silent VMs hold up no other: hundreds answer a command and a ping while one in ten says nothing', async () => {
  using home = temporaryDir('ping-many')
  await using made = await fakeCloud({ ...home, engine: { silent: { every: 10 } } })
  const { cloud } = made
  await cloud.collection('env').put('e', { spec: spec(500) })
  await allAre(cloud, 'e', 'ready')
  for (const request of [
    { type: 'ping', vms: { envs: ['e'] }, timeoutMs: 1500 },
    { type: 'exec', vms: { envs: ['e'] }, command: { shell: 'true' }, timeoutMs: 1500 },
  ] satisfies SessionRequest[]) {
    await using session = await cloud.open(request)
    const began = performance.now()
    let lastMs = 0
    const ends: Record<string, number> = {}
    for await (const frame of session.output) {
      if (frame.type === 'exit') lastMs = performance.now() - began
      if (frame.type === 'exit' || frame.type === 'problem') ends[frame.type === 'exit' ? 'exit' : frame.problem.code] = (ends[frame.type === 'exit' ? 'exit' : frame.problem.code] ?? 0) + 1
    }
    assert.deepEqual(ends, { exit: 450, timeout: 50 }, request.type)
    assert.ok(lastMs < 1400, `the last living one answered ${request.type} after ${lastMs.toFixed(0)} ms, before the first silent one was given up`)
  }
})
