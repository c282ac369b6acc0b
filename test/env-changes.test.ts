import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seen } from '../src/model/cloud-under-test.ts'
import { asked, ground, put, refused, state, vms } from './change-ground.ts'

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
