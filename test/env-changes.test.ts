import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seen } from '../src/model/cloud-under-test.ts'
import { asked, barrier, ended, exact, gone, ground, imageDir, put, refused, state, vmComes, vms } from './change-ground.ts'

test('[E06] ports are replaced while the ENV runs, and the task is done when they are in force', async () => {
  await using made = await ground()
  const { cloud } = made
  await put(cloud, 'demo', asked({}, { ports: [80, 443] }))
  const before = await vms(cloud, 'demo')
  const { task } = await put(cloud, 'demo', asked({}, { ports: [443, 8080] }))
  assert.deepEqual([state(task), task.spec.verb, task.status?.done, task.status?.total], ['done', 'update', 2, 2])
  for (const [at, vm] of (await vms(cloud, 'demo')).entries()) {
    assert.deepEqual(Object.keys(vm.status?.ports ?? {}), ['443', '8080'])
    assert.equal(vm.status?.state, 'ready')
    assert.equal(vm.status.since, before[at]?.status?.since, 'it was not started again')
  }
})

test('[D04 D05] hardware changes while halted, takes effect at the next start, and what does not fit changes nothing', async () => {
  await using made = await ground()
  const { cloud, store } = made
  await put(cloud, 'demo', asked())
  assert.equal((await refused(put(cloud, 'demo', asked({}, { memMb: 200 })))).code, 'not_ready')
  await put(cloud, 'demo', asked({ stopped: true }))
  assert.deepEqual((await store.get('desired/ledger'))?.value, { cpu: 0, memMb: 0, diskMb: 200, vms: 2 })
  const { task } = await put(cloud, 'demo', asked({ stopped: true }, { memMb: 200, diskMb: 300 }))
  assert.equal(state(task), 'done')
  assert.equal((await refused(put(cloud, 'demo', asked({ stopped: true }, { memMb: 200, diskMb: 900_000_000 })))).code, 'exhausted')
  await put(cloud, 'demo', asked({}, { memMb: 200, diskMb: 300 }))
  assert.deepEqual((await store.get('desired/ledger'))?.value, { cpu: 2, memMb: 400, diskMb: 600, vms: 2 })
  assert.deepEqual((await vms(cloud, 'demo')).map(({ spec, status }) => [spec.memMb, status?.state]), [[200, 'ready'], [200, 'ready']])
})

test('[G03 G04] what is kicked goes and gives back at once; an ENV without VMs stays [B23]', async () => {
  await using made = await ground()
  const { cloud, store } = made
  await put(cloud, 'demo', asked())
  const { task } = await put(cloud, 'demo', asked({ kicked: [0] }))
  assert.equal(state(task), 'done')
  assert.deepEqual((await vms(cloud, 'demo')).map(({ name }) => name), ['demo.1'])
  assert.deepEqual((await store.get('desired/ledger'))?.value, { cpu: 1, memMb: 100, diskMb: 100, vms: 1 })
  await put(cloud, 'demo', asked({ kicked: [0, 1] }))
  const env = await cloud.collection('env').get('demo')
  assert.deepEqual([env.status?.vms, env.status?.phase], [0, 'ready'])
  assert.deepEqual((await store.list('claim/')).items, [])
  assert.deepEqual((await store.list('actual/applied/')).items, [], 'its hosts keep no word of it')
})

test('[E11] a change that the network refuses is said by its VM and its task, and done when the network can', async () => {
  let broken = false
  await using made = await ground({ around: { network: (network) => ({ ...network, change: async (change, call) => (broken && change.put.length > 0 ? Promise.reject(new Error('nft: no such set')) : network.change(change, call)) }) } })
  const { cloud } = made
  await put(cloud, 'demo', asked())
  broken = true
  const { task } = await put(cloud, 'demo', asked({ denyOutgoing: true }))
  assert.equal(state(task), 'failed')
  assert.match(task.status?.problem?.message ?? '', /nft: no such set/)
  await seen(cloud, 'vm', (change) => (change.type === 'is' && change.resource.name === 'demo.0' && /nft: no such set/.test(change.resource.status?.problem?.message ?? '') ? true : undefined))
  broken = false
  await seen(cloud, 'vm', (change) => (change.type === 'is' && change.resource.name === 'demo.0' && !change.resource.status?.problem ? true : undefined))
})

test('what has ended by itself is started again when it is asked for, on the disk and in the place it has', async () => {
  await using made = await ground({ engine: { exitAfterMs: 1500 } })
  const { cloud } = made
  const envs = cloud.collection('env')
  const states = async (wanted: string) => seen(cloud, 'vm', (change) => (change.type === 'is' && change.resource.name === 'demo.0' && change.resource.status?.state === wanted ? change.resource : undefined))
  await put(cloud, 'demo', asked({}, { count: 1 }))
  const ended = await states('stopped')
  assert.match(ended.status?.problem?.message ?? '', /ended by itself/)
  const { task } = await put(cloud, 'demo', { ...(await envs.get('demo')).spec, starts: 1 })
  assert.equal(state(task), 'done')
  const again = await cloud.collection('vm').get('demo.0')
  assert.deepEqual([again.status?.state, again.status?.ip, again.status?.problem], ['ready', ended.status?.ip, undefined])
  await states('stopped')
  await put(cloud, 'demo', { ...(await envs.get('demo')).spec, lifetimeSeconds: 7200 })
  assert.equal((await cloud.collection('vm').get('demo.0')).status?.state, 'stopped', 'nobody asked for it again')
})

test('[E11] what failed before does not fail the change that mends it, nor one that has nothing to do with it', async () => {
  let broken = false
  await using made = await ground({ around: { network: (network) => ({ ...network, change: async (change, call) => (broken && change.put.some(({ denyOutgoing }) => denyOutgoing) ? Promise.reject(new Error('nft: no such set')) : network.change(change, call)) }) } })
  const { cloud } = made
  const one = (more = {}) => asked(more, { count: 1 })
  await put(cloud, 'demo', one())
  broken = true
  assert.equal(state((await put(cloud, 'demo', one({ denyOutgoing: true }))).task), 'failed')
  assert.equal(state((await put(cloud, 'demo', one({ denyOutgoing: true, deny: ['10.0.0.0/8'] }))).task), 'failed', 'it is still not as wanted')
  const { task } = await put(cloud, 'demo', one())
  assert.deepEqual([state(task), task.status?.problem], ['done', undefined])
  assert.deepEqual((await vms(cloud, 'demo')).map(({ status }) => [status?.state, status?.problem]), [['ready', undefined]])
})

test('a VM that was added and failed fails that change only; it can be kicked, and a stop and a start try it again', async () => {
  let broken = true
  await using made = await ground({ around: { engine: (engine) => ({ ...engine, start: async (plan) => (broken && /\.[23]$/.test(plan.id) ? Promise.reject(new Error('no memory to fork')) : engine.start(plan)) }) } })
  const { cloud, store } = made
  await put(cloud, 'demo', asked())
  const { task } = await put(cloud, 'demo', asked({}, { count: 4 }))
  assert.deepEqual([state(task), task.status?.problem?.subject], ['failed', 'vm/demo.2'])
  assert.match(task.status?.problem?.message ?? '', /no memory to fork/)
  const states = async () => (await vms(cloud, 'demo')).map(({ name, status }) => `${name} ${status?.state}`)
  for (const name of ['demo.2', 'demo.3']) await vmComes(cloud, name, ({ status }) => status?.state === 'failed')
  assert.equal(state((await put(cloud, 'demo', asked({}, { count: 4, ports: [80] }))).task), 'done')
  assert.equal(state((await put(cloud, 'demo', asked({ kicked: [3] }, { count: 4 }))).task), 'done')
  assert.deepEqual(await states(), ['demo.0 ready', 'demo.1 ready', 'demo.2 failed'])
  broken = false
  assert.equal(state((await put(cloud, 'demo', asked({ kicked: [3], stopped: true }, { count: 4 }))).task), 'done')
  assert.deepEqual(await states(), ['demo.0 stopped', 'demo.1 stopped', 'demo.2 stopped'])
  assert.equal(state((await put(cloud, 'demo', asked({ kicked: [3] }, { count: 4 }))).task), 'done')
  assert.deepEqual(await states(), ['demo.0 ready', 'demo.1 ready', 'demo.2 ready'])
  assert.deepEqual((await vms(cloud, 'demo')).map(({ status }) => status?.problem), [undefined, undefined, undefined])
  await exact(store, { cpu: 3, memMb: 300, diskMb: 300, vms: 3 })
  assert.equal(state(await gone(cloud, 'demo')), 'done')
  assert.deepEqual(await made.leaks(), [])
})

test('a VM that failed is tried again when its ENV is started, though that runs', async () => {
  let broken = true
  await using made = await ground({ around: { engine: (engine) => ({ ...engine, start: async (plan) => (broken && plan.id.endsWith('.2') ? Promise.reject(new Error('no memory to fork')) : engine.start(plan)) }) } })
  const { cloud } = made
  await put(cloud, 'demo', asked())
  assert.equal(state((await put(cloud, 'demo', asked({}, { count: 3 }))).task), 'failed')
  assert.equal(state((await put(cloud, 'demo', asked({ starts: 1 }, { count: 3 }))).task), 'failed', 'it still cannot')
  broken = false
  const { task } = await put(cloud, 'demo', asked({ starts: 2 }, { count: 3 }))
  assert.deepEqual([state(task), task.status?.done], ['done', 3])
  assert.deepEqual((await vms(cloud, 'demo')).map(({ status }) => [status?.state, status?.problem]), Array(3).fill(['ready', undefined]))
})

test("a VM that could not follow a change and is deleted is in nobody's way", async () => {
  let broken = false
  await using made = await ground({ around: { network: (network) => ({ ...network, change: async (change, call) => (broken && change.put.length > 0 ? Promise.reject(new Error('nft: no such set')) : network.change(change, call)) }) } })
  const { cloud, store } = made
  await put(cloud, 'demo', asked())
  broken = true
  assert.equal(state((await put(cloud, 'demo', asked({ denyOutgoing: true }))).task), 'failed')
  await vmComes(cloud, 'demo.1', ({ status }) => /nft/.test(status?.problem?.message ?? ''))
  assert.equal(state((await put(cloud, 'demo', asked({ denyOutgoing: true, kicked: [1] }))).task), 'failed', 'the other one is stuck yet')
  broken = false
  await vmComes(cloud, 'demo.0', ({ status }) => !status?.problem)
  assert.equal(state((await put(cloud, 'demo', asked({ kicked: [1] }))).task), 'done')
  const { items } = await store.list('actual/vm/')
  assert.deepEqual(items.map(({ value }) => 'stuck' in (value as object)), [false])
})

test('a VM that could not follow a change, and then ends, says why it ended', async () => {
  let [broken, dead] = [false, false]
  await using made = await ground({
    around: {
      network: (network) => ({ ...network, change: async (change, call) => (broken && change.put.length > 0 ? Promise.reject(new Error('nft: no such set')) : network.change(change, call)) }),
      engine: (engine) => ({ ...engine, inspect: async (id) => (dead ? { state: 'stopped', exit: 'status 1' } : engine.inspect(id)) }),
    },
  })
  const { cloud } = made
  await put(cloud, 'demo', asked({}, { count: 1 }))
  broken = true
  assert.equal(state((await put(cloud, 'demo', asked({ denyOutgoing: true }, { count: 1 }))).task), 'failed')
  dead = true
  await vmComes(cloud, 'demo.0', ({ status }) => status?.state === 'stopped')
  await new Promise((resolve) => setTimeout(resolve, 50))
  assert.equal((await cloud.collection('vm').get('demo.0')).status?.problem?.message, 'the guest ended by itself: status 1')
})

test('what is taken out and wanted again before it is gone comes back', async () => {
  const wall = barrier()
  await using made = await ground({ around: { engine: (engine) => ({ ...engine, destroy: async (id) => (await wall.pass(), engine.destroy(id)) }) } })
  const { cloud, store } = made
  await put(cloud, 'demo', asked())
  wall.hold()
  await cloud.collection('env').put('demo', { spec: asked({ kicked: [1] }) })
  await new Promise((resolve) => setTimeout(resolve, 50))
  const { status } = await cloud.collection('env').put('demo', { spec: asked() })
  await new Promise((resolve) => setTimeout(resolve, 50))
  wall.letGo()
  assert.equal(state(await ended(cloud, status?.task ?? '')), 'done')
  assert.deepEqual((await vms(cloud, 'demo')).map((vm) => vm.status?.state), ['ready', 'ready'])
  await exact(store, { cpu: 2, memMb: 200, diskMb: 200, vms: 2 })
})

test('an index that comes again as a VM of another image is made of that', async () => {
  using images = imageDir(['other', 'third'])
  const wall = barrier()
  const plans = new Map<string, number>()
  await using made = await ground({
    imageDirs: [images.dir],
    around: { engine: (engine) => ({ ...engine, destroy: async (id) => (await wall.pass(), engine.destroy(id)), start: async (plan) => (plans.set(plan.id, (plans.get(plan.id) ?? 0) + 1), engine.start(plan)) }) },
  })
  const { cloud, store } = made
  const size = { cpu: 1, memMb: 100, diskMb: 100 }
  const { env } = await put(cloud, 'demo', { groups: [{ image: 'fake:micro', count: 1, ...size }, { image: 'other', count: 1, ...size }] })
  assert.equal((await refused(cloud.collection('env').put('demo', { spec: { groups: [{ image: 'third', first: 0, ...size }, { image: 'other', ...size }] } }))).code, 'invalid')
  wall.hold()
  await cloud.collection('env').put('demo', { spec: { groups: [{ image: 'other', ...size }] } })
  const { status } = await cloud.collection('env').put('demo', { spec: { groups: [{ image: 'third', first: 0, ...size }, { image: 'other', ...size }] } })
  wall.letGo()
  assert.equal(state(await ended(cloud, status?.task ?? '')), 'done')
  assert.deepEqual((await store.list('actual/vm/')).items.map(({ key, value }) => [key, (value as { image: string }).image]), [[`actual/vm/${env.uid}.0`, 'third'], [`actual/vm/${env.uid}.1`, 'other']])
  assert.deepEqual([plans.get(`${env.uid}.0`), plans.get(`${env.uid}.1`)], [2, 1])
})

test('fault 12: [B20] an ENV is given time, and stopped, while its host is away; what it does not have yet is refused', async () => {
  await using made = await ground()
  const { cloud, store } = made
  await put(cloud, 'demo', asked())
  await store.commit([{ key: 'presence/host/one', value: null }])
  await seen(cloud, 'vm', (change) => (change.type === 'is' && change.resource.status?.state === 'lost' ? true : undefined))
  assert.equal((await put(cloud, 'demo', asked({ lifetimeSeconds: 7200 }))).env.spec.lifetimeSeconds, 7200)
  assert.equal((await refused(cloud.collection('env').put('demo', { spec: asked(), expect: 'absent' }))).code, 'exists', 'its name is not free')
  assert.equal((await refused(put(cloud, 'demo', asked({ lifetimeSeconds: 7200 }, { count: 3 })))).code, 'unavailable')
  await cloud.collection('env').put('demo', { spec: asked({ lifetimeSeconds: 7200, kicked: [1], stopped: true }) })
  assert.equal((await refused(put(cloud, 'demo', asked({ lifetimeSeconds: 7200, kicked: [1] })))).code, 'unavailable')
  await exact(store, { cpu: 0, memMb: 0, diskMb: 100, vms: 1 })
})
