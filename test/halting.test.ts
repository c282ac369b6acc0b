import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Engine } from '../src/drivers/engine/engine.ts'
import type { TtError } from '../src/model/errors.ts'
import { stage } from './crash/stage.ts'
import { temporaryDir } from './fake-cloud.ts'

const spec = (count: number, more: object = {}) => ({ groups: [{ image: 'fake:micro', count, cpu: 1, memMb: 128, diskMb: 1000 }], lifetimeSeconds: null, ...more })

test('VMs of an ENV that was stopped before their turn to be made had come are stopped, and are made when it is started', async () => {
  using home = temporaryDir('early', 'memory')
  const ground = stage(home.dir, { engine: { startMs: 3000 } })
  await ground.begin()
  const envs = ground.cloud().collection('env')
  const wide = spec(400)
  const states = async () => new Set(((await ground.drive(ground.cloud().collection('vm').list({ under: 'wide' })))?.answer.items ?? []).map(({ status }) => status?.state))
  await ground.drive(envs.put('wide', { spec: wide }))
  await ground.wait(200)
  await ground.drive(envs.put('wide', { spec: { ...wide, stopped: true } }))
  await ground.wait(10_000)
  assert.deepEqual(await states(), new Set(['stopped']))
  const tasks = (await ground.drive(ground.cloud().collection('task').list()))?.answer.items ?? []
  assert.deepEqual(tasks.map(({ spec: { verb }, status }) => `${verb} ${status?.state}`).sort(), ['create done', 'stop done'])
  await ground.drive(envs.put('wide', { spec: wide }))
  await ground.wait(10_000)
  assert.deepEqual(await states(), new Set(['ready']))
  await ground.drop()
})

test('fault 3: hardware is refused while a guest is still halting, and never given only in words', async () => {
  using home = temporaryDir('halting', 'memory')
  const slowToHalt = { engine: (engine: Engine): Engine => ({ ...engine, channel: (id) => ({ ...(engine.channel as NonNullable<Engine['channel']>)(id), halt: undefined }) }) }
  const ground = stage(home.dir, { engine: { stopMs: 2000 }, around: slowToHalt })
  await ground.begin()
  const envs = ground.cloud().collection('env')
  const put = (asked: ReturnType<typeof spec>) => ground.drive(envs.put('e', { spec: asked }).then(() => 'done', (error: TtError) => error.code))
  const larger = { groups: [{ image: 'fake:micro', count: 2, cpu: 2, memMb: 256, diskMb: 2000 }] }
  await put(spec(2))
  await ground.wait(1000)
  await put(spec(2, { stopped: true }))
  assert.equal((await put(spec(2, { ...larger, stopped: true })))?.answer, 'not_ready')
  assert.equal((await put(spec(2, larger)))?.answer, 'not_ready')
  await ground.wait(5000)
  assert.equal((await put(spec(2, { ...larger, stopped: true })))?.answer, 'done')
  assert.equal((await put(spec(2, larger)))?.answer, 'done')
  await ground.wait(5000)
  const { guests, volumes } = ground.machine()
  assert.deepEqual([...guests.values()].map((guest) => (guest as { cpu?: number; memMb?: number }).memMb), [256, 256])
  assert.deepEqual([...volumes.values()].map(({ sizeBytes }) => sizeBytes), [2000 * 2 ** 20, 2000 * 2 ** 20])
  await ground.drop()
})
