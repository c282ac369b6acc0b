import assert from 'node:assert/strict'
import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { plainEffects } from '../../src/base/effects.ts'
import { silentLog } from '../../src/base/log.ts'
import { realWorld as world } from '../../src/base/world.ts'
import { ownNames, tryDrivers } from '../../src/bin/drivers.ts'
import { uidOf } from '../../src/bin/home.ts'
import { cacheDir, driverOptions } from '../../src/bin/paths.ts'
import { cluster } from '../../src/cloud/cluster.ts'
import { channels as channelRegistry } from '../../src/drivers/channel/index.ts'
import type { NetworkDriver } from '../../src/drivers/network/network.ts'
import { runHost } from '../../src/host/host.ts'
import type { Cloud } from '../../src/model/cloud.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { calledWith } from '../command-line.ts'
import { temporaryDir } from '../fake-cloud.ts'
import { inNamespace, serverGround, traces } from './ground.ts'

/** A network that says that it denies outgoing connections and does not. */
const forgetful = (network: NetworkDriver): NetworkDriver => ({ ...network, change: ({ put, remove }, call) => network.change({ put: put.map((link) => ({ ...link, denyOutgoing: false })), remove }, call) })

/** A server in this process on the real drivers, with something put before its network. */
async function serverWith(dir: string, around: (network: NetworkDriver) => NetworkDriver): Promise<{ cloud: Cloud; clear(): Promise<void> } & AsyncDisposable> {
  await using building = new AsyncDisposableStack()
  const subnet = '10.99.0.0/16'
  const home = { dataDir: dir, mark: 'stest', world, effects: plainEffects(), log: silentLog }
  const store = building.use(memoryStore({ world }))
  const drivers = building.use(await tryDrivers({ engines: ['qemu'], volumes: [], networks: ['nftables'], options: driverOptions({}), network: { subnet, bind: '127.0.0.1' } }, home))
  const channels = Object.fromEntries(await Promise.all(Object.entries(channelRegistry).map(async ([name, load]) => [name, await load()] as const)))
  const { name, driver } = drivers.network
  const host = building.use(
    await runHost({
      ...home,
      ...drivers,
      network: { name, driver: around(driver) },
      name: 'here',
      address: '127.0.0.1:1',
      version: '0',
      store,
      channels,
      total: { cpu: 100, memMb: 4000, diskMb: 100_000, vms: 100 },
      subnet,
      portFrom: 41_000,
      portTo: 41_099,
      images: { dirs: [], cacheDir: cacheDir(process.env) },
      expected: ownNames,
      uidOf,
      boot: 'this one',
    }),
  )
  const cloud = building.use(await cluster({ store, world, log: silentLog, version: '0', peer: () => host.peer }))
  const stack = building.move()
  return { cloud, clear: () => driver.clear(), [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

await inNamespace(import.meta.url, () => {
  test('N07: the self-test passes on real guests, feature by feature, and leaves nothing', { timeout: 240_000 }, async () => {
    await using server = serverGround()
    await server.start()
    const { code, stdout, stderr } = await server.tt('selftest', '--json', '--image', 'micro')
    assert.equal(code, 0, stdout + stderr)
    const { features } = JSON.parse(stdout) as { features: { feature: string; result: string; reason?: string }[] }
    assert.deepEqual(features.filter(({ result }) => result !== 'pass'), [])
    assert.ok(features.length > 18, `${features.length} features`)
    assert.deepEqual(traces(server.mark(), join(server.dir, 'data')), [])
  })

  test('N07: E07: a network that does not deny what it says it denies fails the self-test, and nothing else does', { timeout: 240_000 }, async () => {
    using home = temporaryDir('selftest')
    chmodSync(home.dir, 0o755)
    mkdirSync(join(home.dir, 'store'))
    await using server = await serverWith(home.dir, forgetful)
    const said = await calledWith(server.cloud, 'selftest', '--image', 'micro', '--only', 'create,neighbours,deny-outgoing')
    const { envs } = { envs: (await server.cloud.collection('env').list()).items }
    await server.clear()
    assert.equal(said.status, 1, said.out)
    assert.match(said.out, /^PASS {2}create /m)
    assert.match(said.out, /^PASS {2}neighbours /m)
    assert.match(said.out, /^FAIL {2}deny-outgoing .* reaches the public port of .* although outgoing connections are denied \(failed\)$/m)
    assert.match(said.out, /^PASS {2}clean-up /m)
    assert.deepEqual(envs, [])
  })
})
