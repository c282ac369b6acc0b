import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seen } from '../src/model/cloud-under-test.ts'
import { asked, ended, ground, put, refused, state, vms } from './change-ground.ts'

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
  assert.deepEqual(await states(), ['running', 'queued', 'queued'])
  assert.deepEqual((await vms(cloud, 'second')).map(({ status }) => status?.state), ['pending', 'pending'], 'no host began')
  await envs.remove('first')
  assert.equal(state(await ended(cloud, first.status?.task ?? '')), 'cancelled')
  await seen(cloud, 'task', (change) => (change.type === 'is' && change.resource.name === second.status?.task && change.resource.status?.state === 'running' ? true : undefined))
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
  await seen(cloud, 'env', (change) => (change.type === 'gone' ? true : undefined)).catch(() => undefined)
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
  const record = await store.get('desired/env/demo')
  // Made half a minute older than it is.
  const { created, ...rest } = record?.value as { created: string }
  await store.commit([{ key: 'desired/env/demo', value: { ...rest, created: new Date(Date.parse(created) - 30_000).toISOString() }, expect: record?.revision ?? 0 }])
  await seen(cloud, 'vm', (change) => (change.type === 'is' && change.resource.status?.state === 'stopped' ? true : undefined))
  const env = await cloud.collection('env').get('demo')
  assert.deepEqual([env.spec.stopped, env.removing], [true, undefined])
  assert.deepEqual((await store.get('desired/ledger'))?.value, { cpu: 0, memMb: 0, diskMb: 200, vms: 2 })
  assert.match((await refused(put(cloud, 'demo', asked({ atEnd: 'stop', lifetimeSeconds: 30 })))).message, /the time of ENV demo is over/)
  const { task } = await put(cloud, 'demo', asked({ atEnd: 'stop', lifetimeSeconds: 600 }))
  assert.equal(state(task), 'done')
  assert.deepEqual((await vms(cloud, 'demo')).map(({ status }) => status?.state), ['ready', 'ready'])
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

test('disks are kept on request as images of their owner, start again as VMs, and go when nobody wants them', async () => {
  await using made = await ground()
  const { cloud } = made
  const images = cloud.collection('image')
  await cloud.collection('env').put('demo', { spec: asked(), owner: 'ann' })
  await seen(cloud, 'env', (change) => (change.type === 'is' && change.resource.status?.phase === 'ready' ? true : undefined))
  await put(cloud, 'demo', asked({ kicked: [1], keepDisks: true }))
  await cloud.collection('env').remove('demo', { task: 'gone1' })
  assert.equal(state(await ended(cloud, 'gone1')), 'done')
  await seen(cloud, 'image', (change) => (change.type === 'is' && change.resource.name.startsWith('kept/demo/0-') ? true : undefined))
  const kept = (await images.list()).items.filter(({ name }) => name.startsWith('kept/demo/'))
  assert.deepEqual(kept.map(({ name, spec }) => [name.replace(/-.*/, ''), spec.owner]), [['kept/demo/0', 'ann'], ['kept/demo/1', 'ann']])
  const [{ name } = { name: '' }] = kept
  assert.equal((await refused(cloud.collection('env').put('theirs', { spec: asked({}, { image: name }), owner: 'bob' }))).code, 'not_found')
  await put(cloud, 'again', asked({}, { image: name, count: 1 }))
  assert.equal((await refused(images.remove(name))).code, 'conflict')
  await cloud.collection('env').remove('again', { task: 'gone2' })
  await ended(cloud, 'gone2')
  await images.remove(name)
  await seen(cloud, 'image', (change) => (change.type === 'gone' && change.name === name ? true : undefined)).catch(() => undefined)
  assert.equal((await refused(images.remove('fake:micro'))).code, 'unsupported')
})
