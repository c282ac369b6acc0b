import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspected } from '../src/base/inspect.ts'
import type { EnvAsked } from '../src/model/env.ts'
import { asked, barrier, comes, ended, exact, ground, put, refused, state, until, vmComes, vms } from './change-ground.ts'

test('[L02] a change repeated with the id of its task is one change', async () => {
  await using made = await ground()
  const { cloud } = made
  await put(cloud, 'demo', asked())
  const first = await put(cloud, 'demo', asked({ lifetimeSeconds: 7200 }), { task: 'once1' })
  await put(cloud, 'demo', asked({ lifetimeSeconds: 9000 }))
  const again = await cloud.collection('env').put('demo', { spec: asked({ lifetimeSeconds: 7200 }), task: 'once1' })
  assert.equal(again.spec.lifetimeSeconds, 9000, 'the repeat did not undo what came after it')
  assert.equal(first.env.spec.lifetimeSeconds, 7200)
  assert.equal((await refused(cloud.collection('env').put('other', { spec: asked(), task: 'once1' }))).code, 'conflict')
  await cloud.collection('env').remove('demo', { task: 'gone1' })
  await ended(cloud, 'gone1')
  await cloud.collection('env').put('demo', { spec: asked() })
  await cloud.collection('env').remove('demo', { task: 'gone1' })
  assert.equal((await cloud.collection('env').get('demo')).removing, undefined, 'the repeat did not remove the ENV that came after')
})

test('[L02 P02] creations beyond the limit wait for their turn, in order, and fail when they have waited too long', async () => {
  await using made = await ground({ limits: { creationsMax: 1, queueSeconds: 2 }, engine: { bootMs: 60_000 } })
  const { cloud } = made
  const envs = cloud.collection('env')
  const first = await envs.put('first', { spec: asked() })
  const second = await envs.put('second', { spec: asked() })
  const third = await envs.put('third', { spec: asked() })
  const states = async () => Promise.all([first, second, third].map(async ({ status }) => state(await cloud.collection('task').get(status?.task ?? ''))))
  await new Promise((resolve) => setTimeout(resolve, 50))
  assert.deepEqual(await states(), ['running', 'queued', 'queued'])
  assert.deepEqual((await vms(cloud, 'second')).map(({ status }) => status?.state), ['pending', 'pending'], 'no host began')
  await envs.remove('first')
  assert.equal(state(await ended(cloud, first.status?.task ?? '')), 'cancelled')
  await comes(cloud, second.status?.task ?? '', 'running')
  const late = await ended(cloud, third.status?.task ?? '')
  assert.deepEqual([state(late), late.status?.problem?.message], ['failed', 'it waited 2 s for its turn'])
  assert.equal((await envs.get('third')).status?.phase, 'failed')
})

test('[L02] a creation can be cancelled and leaves nothing; a start is taken back; what cannot be taken back says so', async () => {
  await using made = await ground({ engine: { bootMs: 3000 } })
  const { cloud, store } = made
  const envs = cloud.collection('env')
  const tasks = cloud.collection('task')
  const making = await envs.put('demo', { spec: asked() })
  await tasks.remove(making.status?.task ?? '')
  assert.equal(state(await ended(cloud, making.status?.task ?? '')), 'cancelled')
  await until(async () => (await cloud.collection('env').list()).items.length === 0)
  await tasks.remove(making.status?.task ?? '') // Over already: nothing to do.
  const done = await put(cloud, 'calm', asked())
  await put(cloud, 'calm', asked({ stopped: true }))
  const starting = await envs.put('calm', { spec: asked() })
  await tasks.remove(starting.status?.task ?? '')
  assert.equal((await envs.get('calm')).spec.stopped, true)
  assert.deepEqual((await store.get('desired/ledger'))?.value, { cpu: 0, memMb: 0, diskMb: 200, vms: 2 })
  assert.equal(state(done.task), 'done')
  assert.equal((await refused(tasks.remove('nothing1'))).code, 'not_found')
})

test('[L02 P02] creations that waited go on in the order they came after the server was started anew', async () => {
  await using made = await ground({ limits: { creationsMax: 1 }, engine: { bootMs: 60_000 } })
  const envs = () => made.cloud.collection('env')
  const ids = ['z9999', 'y8888', 'x7777', 'w6666']
  for (const [at, task] of ids.entries()) await envs().put(`e${at}`, { spec: asked(), task })
  await made.again()
  for (const [at, task] of ids.entries()) {
    await comes(made.cloud, task, 'running')
    const states = await Promise.all(ids.slice(at + 1).map(async (id) => state(await made.cloud.collection('task').get(id))))
    assert.deepEqual(states, states.map(() => 'queued'))
    await envs().remove(`e${at}`)
  }
})

test('[L02] what is wanted of a creation that waits for its turn: changed, halted, deleted', async () => {
  await using made = await ground({ limits: { creationsMax: 1 }, engine: { bootMs: [20, 20] } })
  const { cloud, store } = made
  const envs = cloud.collection('env')
  const blocking = await envs.put('first', { spec: asked({ deadlineSeconds: 60 }, { memMb: 150 }) })
  const names = ['changed', 'halted', 'deleted']
  const made1 = await Promise.all(names.map((name) => envs.put(name, { spec: asked() })))
  const change = await envs.put('changed', { spec: asked({ denyOutgoing: true, kicked: [1] }) })
  const stop = await envs.put('halted', { spec: asked({ stopped: true }) })
  await envs.remove('deleted', { task: 'gone1' })
  const [created, other, never] = await Promise.all(made1.map(({ status }) => ended(cloud, status?.task ?? '')))
  assert.deepEqual([created && state(created), other && state(other), never && state(never)], ['done', 'done', 'cancelled'])
  assert.deepEqual([state(await ended(cloud, change.status?.task ?? '')), state(await ended(cloud, stop.status?.task ?? '')), state(await ended(cloud, 'gone1'))], ['done', 'done', 'done'])
  assert.equal(state(await ended(cloud, blocking.status?.task ?? '')), 'done')
  assert.deepEqual((await vms(cloud, 'changed')).map(({ name, status, spec }) => [name, status?.state, spec.denyOutgoing]), [['changed.0', 'ready', true]])
  assert.deepEqual((await refused(envs.get('deleted'))).code, 'not_found')
  await exact(store, { cpu: 3, memMb: 400, diskMb: 500, vms: 5 })
})

test('[L02] tasks of an earlier life of the server end', async () => {
  await using made = await ground({ engine: { bootMs: 200, stopMs: 100 } })
  const envs = () => made.cloud.collection('env')
  const ids: string[] = []
  const then = async (spec: EnvAsked) => {
    const { status } = await envs().put('demo', { spec })
    ids.push(status?.task ?? '')
    await made.again()
    return state(await ended(made.cloud, status?.task ?? ''))
  }
  assert.equal(await then(asked()), 'done')
  assert.equal(await then(asked({ deny: ['10.0.0.0/8'] })), 'done')
  assert.equal(await then(asked({ stopped: true })), 'done')
  assert.equal(await then(asked({}, { count: 3 })), 'done')
  await envs().remove('demo', { task: 'gone1' })
  await made.again()
  assert.equal(state(await ended(made.cloud, 'gone1')), 'done')
  assert.deepEqual((await made.store.list('actual/applied/')).items, [])
  await exact(made.store, { cpu: 0, memMb: 0, diskMb: 0, vms: 0 })
})

test('[L02 E06] an update that comes while another goes on is done with it; one that comes late has its own time', async () => {
  const wall = barrier()
  await using made = await ground({ limits: { changeSeconds: 1 }, around: { network: (network) => ({ ...network, change: async (change, call) => (await wall.pass(), network.change(change, call)) }) } })
  const { cloud } = made
  await put(cloud, 'demo', asked())
  wall.hold()
  const envs = cloud.collection('env')
  const first = await envs.put('demo', { spec: asked({ deny: ['10.0.0.0/8'] }) })
  const second = await envs.put('demo', { spec: asked({ deny: ['10.0.0.0/8'] }, { ports: [80] }) })
  assert.equal(second.status?.task, first.status?.task)
  await new Promise((resolve) => setTimeout(resolve, 600))
  const third = await envs.put('demo', { spec: asked({ deny: [] }, { ports: [80] }) })
  assert.notEqual(third.status?.task, first.status?.task)
  const late = await ended(cloud, first.status?.task ?? '')
  assert.deepEqual([state(late), late.status?.problem?.code], ['failed', 'timeout'])
  wall.letGo()
  assert.equal(state(await ended(cloud, third.status?.task ?? '')), 'done')
  assert.deepEqual((await vms(cloud, 'demo')).map(({ spec, status }) => [spec.deny, Object.keys(status?.ports ?? {})]), [[[], ['80']], [[], ['80']]])
})

test('[L02] a change of an ENV that is being made has the time of that too', async () => {
  await using made = await ground({ limits: { changeSeconds: 1 }, engine: { bootMs: 1500 } })
  const { cloud } = made
  await cloud.collection('env').put('demo', { spec: asked({ deadlineSeconds: 20 }) })
  const { task } = await put(cloud, 'demo', asked({ deadlineSeconds: 20, denyOutgoing: true }))
  assert.equal(state(task), 'done')
})

test('[L02] a creation that got more time is not looked at over and over', async () => {
  await using made = await ground({ engine: { bootMs: 60_000 } })
  const { cloud } = made
  await cloud.collection('env').put('demo', { spec: asked({ deadlineSeconds: 1 }) })
  const { status } = await cloud.collection('env').put('demo', { spec: asked({ deadlineSeconds: 60 }) })
  const turns = () => inspected('loop').flatMap(({ name, state: loop }) => (name === 'ends of tasks' ? [(loop as { turns: number }).turns] : []))
  await new Promise((resolve) => setTimeout(resolve, 1100))
  const before = turns()
  await new Promise((resolve) => setTimeout(resolve, 300))
  assert.ok((turns()[0] ?? 0) - (before[0] ?? 0) < 10, `${before.join()} turns, then ${turns().join()}`)
  assert.equal(state(await cloud.collection('task').get(status?.task ?? '')), 'done', 'its end is no affair of hosts')
})

test('[L02] an ENV in the making is not ready by VMs that it has lost meanwhile', async () => {
  const [starts, ends] = [barrier(), barrier()]
  await using made = await ground({
    around: { engine: (engine) => ({ ...engine, start: async (plan) => (plan.id.endsWith('.2') ? starts.pass() : Promise.resolve()).then(() => engine.start(plan)), destroy: async (id) => (await ends.pass(), engine.destroy(id)) }) },
  })
  const { cloud } = made
  starts.hold()
  ends.hold()
  const { status } = await cloud.collection('env').put('demo', { spec: asked({}, { count: 3 }) })
  await vmComes(cloud, 'demo.0', (vm) => vm.status?.state === 'ready')
  await cloud.collection('env').put('demo', { spec: asked({ kicked: [0] }, { count: 4 }) })
  await vmComes(cloud, 'demo.3', (vm) => vm.status?.state === 'ready')
  await new Promise((resolve) => setTimeout(resolve, 50))
  assert.equal((await cloud.collection('env').get('demo')).status?.phase, 'creating')
  starts.letGo()
  ends.letGo()
  assert.equal(state(await ended(cloud, status?.task ?? '')), 'done')
})

test('[L02] VMs that were added and had to wait for room are made when the task is done', async () => {
  const total = { cpu: 6, memMb: 4000, diskMb: 4000, vms: 100 }
  await using made = await ground({ total, engine: { bootMs: 50 } })
  const { cloud } = made
  await put(cloud, 'demo', asked({}, { count: 4 }))
  total.cpu = 4 // The host has less by now than it said.
  const { status } = await cloud.collection('env').put('demo', { spec: asked({}, { count: 6 }) })
  await new Promise((resolve) => setTimeout(resolve, 100))
  assert.deepEqual((await vms(cloud, 'demo')).map((vm) => vm.status?.state), ['ready', 'ready', 'ready', 'ready', 'pending', 'pending'])
  total.cpu = 6
  const task = await ended(cloud, status?.task ?? '')
  assert.deepEqual([state(task), task.status?.done], ['done', 6])
  assert.deepEqual((await vms(cloud, 'demo')).map((vm) => vm.status?.state), Array(6).fill('ready'))
})

test('fault 24: [L02] a removal that took longer than its task may be asked for again, and is told to its end', async () => {
  const wall = barrier()
  await using made = await ground({ limits: { changeSeconds: 1 }, around: { engine: (engine) => ({ ...engine, destroy: async (id) => (await wall.pass(), engine.destroy(id)) }) } })
  const { cloud, store } = made
  const envs = cloud.collection('env')
  await put(cloud, 'demo', asked())
  wall.hold()
  await envs.remove('demo', { task: 'gone1' })
  await envs.remove('demo', { task: 'gone2' })
  assert.equal((await refused(cloud.collection('task').get('gone2'))).code, 'not_found', 'it is being removed: the second is the first')
  assert.deepEqual([state(await ended(cloud, 'gone1')), (await cloud.collection('task').get('gone1')).status?.problem?.code], ['failed', 'timeout'])
  await exact(store, { cpu: 2, memMb: 200, diskMb: 200, vms: 2 })
  await envs.remove('demo', { task: 'gone3' })
  wall.letGo()
  assert.equal(state(await ended(cloud, 'gone3')), 'done')
  assert.equal((await refused(envs.get('demo'))).code, 'not_found')
  await exact(store, { cpu: 0, memMb: 0, diskMb: 0, vms: 0 })
})
