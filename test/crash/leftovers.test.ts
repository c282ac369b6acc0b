import assert from 'node:assert/strict'
import { appendFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { silentLog } from '../../src/base/log.ts'
import { cluster } from '../../src/cloud/cluster.ts'
import type { TtError } from '../../src/model/errors.ts'
import { temporaryDir } from '../fake-cloud.ts'
import { fileStore } from './file-store.ts'
import { stage } from './stage.ts'
import type { Wish, WishedEnv } from './wish.ts'

const size = { cpu: 1, memMb: 128, diskMb: 1000 }
const vm = { ...size, ports: [80], denyOutgoing: false, starts: 1 }
const env = (bornMs: number, count = 2): WishedEnv => ({ owner: 'admin', vms: new Map(Array.from({ length: count }, (_, index) => [index, vm])), stopped: false, lifetimeSeconds: null, bornMs })
const spec = (count = 2) => ({ groups: [{ image: 'fake:micro', count, ...size, ports: [80] }], lifetimeSeconds: null })

test('H14: guests, links and volumes that no claim explains are gone once the server has started, and the others have not noticed', async () => {
  using home = temporaryDir('leftovers', 'memory')
  const ground = stage(home.dir, {})
  await ground.begin()
  const wish: Wish = new Map([['kept', env(ground.now())]])
  await ground.drive(ground.cloud().collection('env').put('kept', { spec: spec() }))
  await ground.until([wish], 5000)
  await ground.drop()
  const strange = (file: string, value: object) => appendFileSync(join(home.dir, file), `${JSON.stringify(['nobodyknows.0', value])}\n`)
  strange('engine/guests', { hostname: 'x', cpu: 1, memMb: 1, runs: [{ from: 0, ready: 0 }] })
  strange('volume/volumes', { sizeBytes: 512 })
  strange('network/links', { id: 'nobodyknows.0', slice: '10.77.200.0/28', ip: '10.77.200.2', mac: '52:54:00:4d:c8:02', ports: { 80: 40_777 }, denyOutgoing: false, deny: [], sshKeys: [], peers: [] })
  assert.equal(ground.machine().guests.size, 3)
  await ground.begin()
  await ground.until([wish], 5000)
  await ground.drop()
})

test('fault 24: an ENV deleted while its host is away is there as being removed until the host is back, and then gone without a trace', async () => {
  using home = temporaryDir('away', 'memory')
  const ground = stage(home.dir, {})
  await ground.begin()
  await ground.drive(ground.cloud().collection('env').put('left', { spec: spec() }))
  await ground.until([new Map([['left', env(0)]])], 5000)
  await ground.drop()
  {
    const { store } = fileStore(join(home.dir, 'store/store.sqlite'), ground.world)
    const cloud = await cluster({ store, world: ground.world, log: silentLog, version: '0', peer: () => undefined })
    const envs = cloud.collection('env')
    await ground.world.advance(60_000)
    const states = (await cloud.collection('vm').list({ under: 'left' })).items.map(({ status }) => status?.state)
    assert.deepEqual(states, ['lost', 'lost'])
    await envs.remove('left')
    await ground.world.advance(3_600_000)
    assert.equal((await envs.get('left')).status?.phase, 'removing', 'nobody can know that its VMs are gone')
    await assert.rejects(envs.put('left', { spec: spec(), expect: 'absent' }), (error: TtError) => error.code === 'conflict' || error.code === 'unavailable')
    await cloud[Symbol.asyncDispose]()
    await store[Symbol.asyncDispose]()
  }
  await ground.begin()
  await ground.until([new Map()], 10_000)
  await ground.drop()
})

test('fault 25: an ENV whose creation was cut off again and again comes about, or goes when it is deleted', async () => {
  using home = temporaryDir('placeholder', 'memory')
  const ground = stage(home.dir, { engine: { startMs: 1000 } })
  await ground.begin()
  const wish: Wish = new Map([['slow', env(ground.now())]])
  await ground.drive(ground.cloud().collection('env').put('slow', { spec: spec() }))
  for (let lives = 0; lives < 5; lives++) {
    await ground.wait(500)
    await ground.drop()
    await ground.begin()
  }
  await ground.until([wish], 5000)
  await ground.drive(ground.cloud().collection('env').put('other', { spec: spec() }))
  await ground.wait(500)
  await ground.drop()
  await ground.begin()
  await ground.drive(ground.cloud().collection('env').remove('other'))
  await ground.until([wish], 10_000)
  await ground.drop()
})

test('fault 15: what is stopped keeps its disks, on the machine and in the sum, over a restart of the server too', async () => {
  using home = temporaryDir('disks', 'memory')
  mkdirSync(home.dir, { recursive: true })
  const ground = stage(home.dir, { total: { cpu: 10, memMb: 10_000, diskMb: 3000, vms: 10 } })
  await ground.begin()
  const envs = () => ground.cloud().collection('env')
  await ground.drive(envs().put('kept', { spec: spec() }))
  await ground.drive(envs().put('kept', { spec: { ...spec(), stopped: true } }))
  const wish: Wish = new Map([['kept', { ...env(ground.now()), vms: new Map([[0, { ...vm, starts: undefined }], [1, { ...vm, starts: undefined }]]), stopped: true }]])
  await ground.until([wish], 5000)
  for (let lives = 0; lives < 2; lives++) {
    const refused = await ground.drive(envs().put('more', { spec: spec() }).then(() => undefined, (error: TtError) => error))
    assert.equal(refused?.answer?.code, 'exhausted')
    assert.match(refused.answer.message, /not enough disk: 2\.9 GB in all, 2 GB used, 2 GB wanted/)
    await ground.drop()
    await ground.begin()
  }
  await ground.until([wish], 5000)
  await ground.drop()
})
