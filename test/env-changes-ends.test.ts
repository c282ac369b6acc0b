import assert from 'node:assert/strict'
import { test } from 'node:test'
import { realWorld, type World } from '../src/base/world.ts'
import { seen } from '../src/model/cloud-under-test.ts'
import type { EnvRecord, PhaseRecord } from '../src/model/records.ts'
import type { Store } from '../src/store/store.ts'
import { asked, comes, ended, exact, gone, ground, put, refused, state, until, vms } from './change-ground.ts'

test('[B14] two changes of power closer than the interval are refused with the remaining wait', async () => {
  await using made = await ground({ limits: { powerIntervalSeconds: 20 } })
  const { cloud } = made
  await put(cloud, 'demo', asked())
  await put(cloud, 'demo', asked({ stopped: true }))
  const error = await refused(put(cloud, 'demo', asked()))
  assert.equal(error.code, 'not_ready')
  assert.match(error.message, /wait (20|19) s/)
  await put(cloud, 'demo', asked({ stopped: true })) // What is stopped already stays so, at any time.
})

test('[B17 B19] a life above the limit needs the flag, and keeps it', async () => {
  await using made = await ground()
  const { cloud } = made
  assert.match((await refused(put(cloud, 'demo', asked({ lifetimeSeconds: 21_601 })))).message, /the life time is 21601 s, allowed is at most 21600 s/)
  const { env } = await put(cloud, 'demo', asked({ lifetimeSeconds: 90_000, longLife: true }))
  assert.equal(env.spec.lifetimeSeconds, 90_000)
  assert.equal((await refused(put(cloud, 'demo', asked({ lifetimeSeconds: 10 })))).code, 'invalid')
})

test('[D07] a quota holds for all ENVs of its user, and for nobody else', async () => {
  await using made = await ground()
  const { cloud } = made
  await cloud.collection('user').put('ann', { spec: { quota: { vms: 3, memMb: 250 } } })
  await cloud.collection('env').put('one', { spec: asked(), owner: 'ann' })
  const error = await refused(cloud.collection('env').put('two', { spec: asked(), owner: 'ann' }))
  assert.deepEqual([error.code, error.message], ['exhausted', 'not enough memory in the quota of ann: 250 MB in all, 200 MB used, 200 MB wanted'])
  assert.match((await refused(cloud.collection('env').put('two', { spec: asked({}, { memMb: 100, count: 2 }), owner: 'ann' }))).message, /quota of ann/)
  await cloud.collection('env').put('two', { spec: asked(), owner: 'bob' })
  assert.deepEqual((await cloud.collection('user').get('ann')).status, { envs: 1, used: { cpu: 2, memMb: 200, diskMb: 200, vms: 2 } })
  assert.equal((await refused(cloud.collection('user').remove('ann'))).code, 'conflict')
})

test('[M08] an ENV whose end is a stop is halted and kept, and starts again with more time', async () => {
  await using made = await ground()
  const { cloud, store } = made
  await put(cloud, 'demo', asked({ atEnd: 'stop', lifetimeSeconds: 30 }))
  await age(store, 'demo', 30)
  await seen(cloud, 'vm', (change) => (change.type === 'is' && change.resource.status?.state === 'stopped' ? true : undefined))
  const env = await cloud.collection('env').get('demo')
  assert.deepEqual([env.spec.stopped, env.removing], [true, undefined])
  assert.deepEqual((await store.get('desired/ledger'))?.value, { cpu: 0, memMb: 0, diskMb: 200, vms: 2 })
  assert.match((await refused(put(cloud, 'demo', asked({ atEnd: 'stop', lifetimeSeconds: 30 })))).message, /the time of ENV demo is over/)
  const { task } = await put(cloud, 'demo', asked({ atEnd: 'stop', lifetimeSeconds: 600 }))
  assert.equal(state(task), 'done')
  assert.deepEqual((await vms(cloud, 'demo')).map(({ status }) => status?.state), ['ready', 'ready'])
})

/** Makes an ENV so much older than it is. */
async function age(store: Store, name: string, seconds: number): Promise<void> {
  const record = await store.get(`desired/env/${name}`)
  const env = record?.value as EnvRecord
  await store.commit([{ key: `desired/env/${name}`, value: { ...env, created: new Date(Date.parse(env.created) - seconds * 1000).toISOString() }, expect: record?.revision ?? 0 }])
}

test('fault 25: [B16] the time of an ENV that waits for its turn, or that has failed, ends too, and gives everything back', async () => {
  await using made = await ground({ limits: { creationsMax: 1 }, engine: { bootMs: 60_000, failStart: ['*.7'] } })
  const { cloud, store } = made
  const envs = cloud.collection('env')
  const failing = await envs.put('failing', { spec: asked({ lifetimeSeconds: 30 }, { first: 7, count: 1 }) })
  assert.equal(state(await ended(cloud, failing.status?.task ?? '')), 'failed')
  const blocking = await envs.put('first', { spec: asked() })
  const waiting = await envs.put('waiting', { spec: asked({ lifetimeSeconds: 30 }) })
  const halting = await envs.put('halting', { spec: asked({ lifetimeSeconds: 30, atEnd: 'stop' }) })
  assert.equal(state(await cloud.collection('task').get(waiting.status?.task ?? '')), 'queued')
  for (const name of ['failing', 'waiting', 'halting']) await age(store, name, 30)
  const over = await ended(cloud, waiting.status?.task ?? '')
  assert.deepEqual([state(over), over.status?.problem?.message], ['cancelled', 'the ENV was deleted'])
  await until(async () => (await envs.list()).items.length === 2)
  assert.equal((await envs.get('halting')).spec.stopped, true)
  await exact(store, { cpu: 2, memMb: 200, diskMb: 400, vms: 4 })
  await envs.remove('first')
  assert.equal(state(await ended(cloud, blocking.status?.task ?? '')), 'cancelled')
  assert.equal(state(await ended(cloud, halting.status?.task ?? '')), 'done', 'it has its turn, and is halted')
  await exact(store)
})

test('[B16] an ENV ends when the clock says so, also if that was set, or the machine slept', async () => {
  let shiftMs = 0
  // Timers of ten seconds and more are those that look at the clock; here they look often.
  const world: World = { ...realWorld, now: () => Date.now() + shiftMs, after: (ms, run) => realWorld.after(ms >= 10_000 ? Math.max(50, ms / 200) : ms, run) }
  await using made = await ground({ world })
  const { cloud, store } = made
  await put(cloud, 'demo', asked({ lifetimeSeconds: 7200 }))
  await put(cloud, 'other', asked({ lifetimeSeconds: 20_000 }))
  shiftMs = 7300_000
  await comes(cloud, (await seen(cloud, 'env', (change) => (change.type === 'is' && change.resource.removing !== undefined ? change.resource : undefined))).status?.task ?? '', 'done')
  assert.equal((await refused(cloud.collection('env').get('demo'))).code, 'not_found')
  assert.equal((await cloud.collection('env').get('other')).removing, undefined)
  await exact(store, { cpu: 2, memMb: 200, diskMb: 200, vms: 2 })
})

test('B04: an ENV that failed leaves an explanation that holds nothing, and its name to the next; the tasks of both end', async () => {
  let broken = true
  await using made = await ground({ around: { engine: (engine) => ({ ...engine, start: async (plan) => (broken ? Promise.reject(new Error('no memory to fork')) : engine.start(plan)) }) } })
  const { cloud, store } = made
  const envs = cloud.collection('env')
  const first = await envs.put('demo', { spec: asked() })
  const change = await envs.put('demo', { spec: asked({ deny: ['10.0.0.0/8'] }) })
  assert.deepEqual([state(await ended(cloud, first.status?.task ?? '')), state(await ended(cloud, change.status?.task ?? ''))], ['failed', 'failed'])
  await until(async () => ((await store.get('desired/phase/demo'))?.value as PhaseRecord | undefined)?.released === true)
  await exact(store, { cpu: 0, memMb: 0, diskMb: 0, vms: 0 })
  broken = false
  const { env, task } = await put(cloud, 'demo', asked())
  assert.notEqual(env.uid, first.uid)
  assert.equal(state(task), 'done')
  assert.deepEqual((await vms(cloud, 'demo')).map(({ status }) => status?.state), ['ready', 'ready'])
  await exact(store, { cpu: 2, memMb: 200, diskMb: 200, vms: 2 })
  await gone(cloud, 'demo')
  await exact(store, { cpu: 0, memMb: 0, diskMb: 0, vms: 0 })
  assert.deepEqual(await made.leaks(), [])
})
