import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLog } from '../base/log.ts'
import { realWorld as world } from '../base/world.ts'
import type { EnvSpec } from '../model/env.ts'
import type { Demand } from '../model/expand.ts'
import { type EnvRecord, keys } from '../model/records.ts'
import { memoryStore } from '../store/memory.ts'
import { runClaims } from './claims.ts'
import { hostViews } from './views.ts'

const envOf = (name: string, count: number, stopped = false): EnvRecord => ({
  name,
  uid: `${name}uid`,
  owner: 'ann',
  created: new Date(0).toISOString(),
  spec: { groups: [{ image: 'micro', digest: 'd', engine: 'fake', first: 0, count, cpu: 1, memMb: 100, diskMb: 10, ports: [] }], lifetimeSeconds: null, longLife: false, atEnd: 'delete', keepDisks: false, denyOutgoing: false, deny: [], sshKeys: [], peers: [], exceptions: {}, deadlineSeconds: 600, stopped, starts: 0, kicked: [] } as EnvSpec,
})

/** A host with room for so many VMs, and a store where ENVs appear without an admission that would count them first. */
async function hostWithRoom(vms: number) {
  await using building = new AsyncDisposableStack()
  const store = building.use(memoryStore({ world }))
  const views = building.use(await hostViews(store, { world, log: silentLog }))
  const total: Demand = { cpu: vms, memMb: 100 * vms, diskMb: 10_000, vms: 1000 }
  let looks = 0
  const able = () => {
    looks++
    return () => true
  }
  const claims = building.use(runClaims({ name: 'one', store, views, world, log: silentLog, total: () => total, able }))
  const stack = building.move()
  const put = (...envs: EnvRecord[]) => store.commit(envs.map((env) => ({ key: keys.env(env.name), value: env })))
  const claimed = async () => (await store.list(keys.claims)).items.length
  return { store, put, claimed, claims, looks: () => looks, settle: () => new Promise((resolve) => setTimeout(resolve, 60)), [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

test('[D03] ENVs that come at once do not get more than the host has', async () => {
  await using host = await hostWithRoom(10)
  await host.put(envOf('aaaa', 8), envOf('bbbb', 8), envOf('cccc', 8))
  await host.settle()
  assert.equal(await host.claimed(), 10)
  assert.deepEqual(host.claims.used(), { cpu: 10, memMb: 1000, diskMb: 100, vms: 10 })
})

test('what this host can run is looked up once for all VMs of an ENV', async () => {
  await using host = await hostWithRoom(1000)
  await host.put(envOf('aaaa', 900))
  for (let tries = 0; (await host.claimed()) < 900 && tries < 50; tries++) await host.settle()
  assert.equal(await host.claimed(), 900)
  assert.ok(host.looks() <= 5, `${host.looks()} looks`)
})

test('[B10] a stopped ENV gives its cpus and memory back to the host, and takes them again', async () => {
  await using host = await hostWithRoom(10)
  await host.put(envOf('aaaa', 8))
  await host.settle()
  await host.put(envOf('aaaa', 8, true))
  await host.settle()
  assert.deepEqual(host.claims.used(), { cpu: 0, memMb: 0, diskMb: 80, vms: 8 })
  await host.put(envOf('bbbb', 6))
  await host.settle()
  assert.equal(await host.claimed(), 14)
  await host.put(envOf('aaaa', 8, false))
  await host.settle()
  assert.equal(host.claims.used().cpu, 14)
})

test('nothing is claimed for an ENV that has failed meanwhile', async () => {
  await using host = await hostWithRoom(10)
  const env = envOf('aaaa', 4)
  await host.store.commit([
    { key: keys.env('aaaa'), value: env },
    { key: keys.phase('aaaa'), value: { uid: env.uid, phase: 'creating', since: env.created } },
  ])
  // Right behind it, before any view has seen either.
  await host.store.commit([{ key: keys.phase('aaaa'), value: { uid: env.uid, phase: 'failed', since: env.created } }])
  await host.settle()
  assert.equal(await host.claimed(), 0)
})
