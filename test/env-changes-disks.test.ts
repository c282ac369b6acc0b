import assert from 'node:assert/strict'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Cloud } from '../src/model/cloud.ts'
import { seen } from '../src/model/cloud-under-test.ts'
import { asked, barrier, ended, exact, gone, ground, imageDir, put, refused, state, until, vmComes } from './change-ground.ts'
import { twoServers } from './two-servers.ts'

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
  await until(async () => !(await images.list()).items.some((image) => image.name === name))
  assert.equal((await refused(images.remove('fake:micro'))).code, 'unsupported')
})

const kept = async (cloud: Cloud) => (await cloud.collection('image').list()).items.flatMap(({ name }) => (name.startsWith('kept/') ? [name] : [])).sort()
const short = (names: string[]) => names.map((name) => name.replace(/-[a-z0-9]{8}/, ''))

test('an index that is used again has its disks kept again, each under a name of its own', async () => {
  await using made = await ground()
  const { cloud } = made
  await put(cloud, 'demo', asked({ keepDisks: true }))
  for (const count of [1, 2, 1]) assert.equal(state((await put(cloud, 'demo', asked({ keepDisks: true }, { count }))).task), 'done')
  await gone(cloud, 'demo')
  assert.deepEqual(short(await kept(cloud)), ['kept/demo/0', 'kept/demo/1', 'kept/demo/1-2'])
})

test('the disk of a guest that ran is kept though it failed or is being started when it goes; what never ran leaves none', async () => {
  const wall = barrier()
  let broken = false
  await using made = await ground({
    around: { engine: (engine) => ({ ...engine, start: async (plan) => (await wall.pass(), broken && !plan.id.endsWith('.0') ? Promise.reject(new Error('no memory to fork')) : engine.start(plan)) }) },
  })
  const { cloud } = made
  const spec = asked({ keepDisks: true })
  await put(cloud, 'demo', spec)
  await put(cloud, 'demo', { ...spec, stopped: true })
  broken = true
  assert.equal(state((await put(cloud, 'demo', spec)).task), 'failed')
  assert.equal(state((await put(cloud, 'demo', asked({ keepDisks: true }, { count: 3 }))).task), 'failed')
  for (const name of ['demo.1', 'demo.2']) await vmComes(cloud, name, ({ status }) => status?.state === 'failed')
  await put(cloud, 'demo', asked({ keepDisks: true, kicked: [1, 2] }, { count: 3 }))
  await put(cloud, 'demo', asked({ keepDisks: true, kicked: [1, 2], stopped: true }, { count: 3 }))
  wall.hold()
  await cloud.collection('env').put('demo', { spec: asked({ keepDisks: true, kicked: [1, 2] }, { count: 3 }) })
  await vmComes(cloud, 'demo.0', ({ status }) => status?.state === 'starting')
  await cloud.collection('env').remove('demo', { task: 'gone1' })
  await made.again({ around: {} })
  assert.equal(state(await ended(made.cloud, 'gone1')), 'done')
  assert.deepEqual(short(await kept(made.cloud)), ['kept/demo/0', 'kept/demo/1'])
})

test('disks are kept once, however often their removal is tried, also by the next server', async () => {
  let broken = true
  const calls = new Map<string, number>()
  const isSecond = (id: string) => calls.set(id, (calls.get(id) ?? 0) + 1) && (calls.get(id) ?? 0) % 2 === 0
  // The first time it is to be at rest for its disk, the second time it is to go.
  await using made = await ground({ around: { engine: (engine) => ({ ...engine, destroy: async (id) => (broken && isSecond(id) ? Promise.reject(new Error('it does not end')) : engine.destroy(id)) }) } })
  await put(made.cloud, 'demo', asked({}, { count: 6 }))
  await made.cloud.collection('env').remove('demo', { task: 'gone1', keepDisks: true })
  await until(async () => (await kept(made.cloud)).length >= 6)
  await made.again()
  await vmComes(made.cloud, 'demo.0', ({ status }) => /it does not end/.test(status?.problem?.message ?? ''))
  broken = false
  assert.equal(state(await ended(made.cloud, 'gone1')), 'done')
  assert.deepEqual(short(await kept(made.cloud)), [0, 1, 2, 3, 4, 5].map((index) => `kept/demo/${index}`))
  assert.deepEqual(await made.leaks(), [])
})

test('a VM without a disk has none to keep, and goes', async () => {
  using images = imageDir(['diskless'], { cpu: 1, memMb: 100, diskMb: 0, ports: [] })
  await using made = await ground({ imageDirs: [images.dir] })
  const { cloud } = made
  await put(cloud, 'demo', { groups: [{ image: 'diskless', memMb: 100 }], keepDisks: true })
  assert.equal(state(await gone(cloud, 'demo')), 'done')
  assert.deepEqual(await kept(cloud), [])
})

test('a disk whose image is gone cannot be kept: the removal says so, and goes on when it is told to do without', async () => {
  await using made = await ground({ limits: { changeSeconds: 2 } })
  const { cloud, store } = made
  await put(cloud, 'demo', asked({ keepDisks: true }, { count: 1 }))
  await gone(cloud, 'demo')
  const [image = ''] = await kept(cloud)
  await put(cloud, 'child', asked({ keepDisks: true }, { image, count: 1 }))
  const dir = join(made.dir, 'kept')
  for (const name of readdirSync(dir)) rmSync(join(dir, name), { recursive: true })
  await made.again()
  await until(async () => (await kept(made.cloud)).length === 0)
  const stays = await gone(made.cloud, 'child')
  assert.equal(state(stays), 'failed')
  assert.match(stays.status?.problem?.message ?? '', /not done within 2 s: the disk of child\.0 is to be kept, and its image kept\/demo\/0-\w+ is gone/)
  await exact(store, { cpu: 1, memMb: 100, diskMb: 100, vms: 1 })
  assert.equal(state(await gone(made.cloud, 'child', 'again1', false)), 'done')
  await exact(store, { cpu: 0, memMb: 0, diskMb: 0, vms: 0 })
})

test('a kept disk is deleted or a VM is made of it, never both, though two servers are asked at the same moment', async (context) => {
  await using servers = await twoServers({ lagMs: 4 })
  const { clouds: [one, two] } = servers
  const outcomes: string[] = []
  for (let round = 0; round < 12; round++) {
    const [base, child] = [`base${round}`, `child${round}`]
    await put(one, base, asked({ keepDisks: true }, { count: 1 }))
    await gone(one, base)
    await until(async () => (await kept(two)).some((name) => name.startsWith(`kept/${base}/`)))
    const image = (await kept(two)).find((name) => name.startsWith(`kept/${base}/`)) ?? ''
    const by = round % 4 === 0 ? two : one
    const create = () => two.collection('env').put(child, { spec: asked({}, { image, count: 1 }) }).then(({ status }) => ended(two, status?.task ?? '').then(state), (error: { code: string }) => error.code)
    const remove = () => by.collection('image').remove(image).then(() => 'removed', (error: { code: string }) => error.code)
    // What comes while a commit is under way goes into one: both, if they go through the same server.
    const busy = two.collection('env').put(`busy${round}`, { spec: asked() })
    const [first, second] = round % 2 === 0 ? [create(), remove()] : [remove(), create()]
    const [made, removed] = await Promise.all(round % 2 === 0 ? [first, second] : [second, first])
    await busy
    outcomes.push(`${made} ${removed}`)
  }
  context.diagnostic(outcomes.join(', '))
  for (const outcome of outcomes) assert.ok(outcome === 'done conflict' || outcome === 'not_found removed', outcomes.join(', '))
})
