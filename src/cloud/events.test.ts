import assert from 'node:assert/strict'
import { test } from 'node:test'
import { manualWorld } from '../base/manual-world.ts'
import { silentLog } from '../base/log.ts'
import { keys } from '../model/records.ts'
import type { CloudEvent, SessionFrame } from '../model/session.ts'
import { memoryStore } from '../store/memory.ts'
import { events } from './events.ts'
import { truth } from './truth.ts'

const spec = (count: number, more: object = {}) => ({ groups: [{ image: 'i', digest: 'd', engine: 'x', first: 0, count, cpu: 1, memMb: 1, diskMb: 0, ports: [] }], kicked: [], exceptions: {}, stopped: false, starts: 0, denyOutgoing: false, deny: [], sshKeys: [], peers: [], lifetimeSeconds: 60, ...more })
const env = (name: string, more: object = {}) => ({ name, uid: `uid${name}`, owner: 'ann', created: new Date(0).toISOString(), spec: spec(2), ...more })
const vm = (state: string, index = 0, more: object = {}) => ({ host: 'one', env: 'e', index, state, ...more })

async function ground(limit?: number) {
  const world = manualWorld()
  const store = memoryStore({ world })
  const seen = await truth(store, { world, log: silentLog })
  const told = events(seen, { world, ...(limit === undefined ? {} : { limit }) })
  const read = async (request: { envs?: string[] } = {}): Promise<CloudEvent[]> => {
    await using session = told.open({ type: 'events', ...request })
    return (await Array.fromAsync(session.output)).flatMap((frame) => (frame.type === 'event' ? [frame.event] : []))
  }
  return {
    world,
    told,
    read,
    brief: async (request?: { envs?: string[] }) => (await read(request)).map(({ subject, event }) => `${subject} ${event}`),
    async write(...writes: { key: string; value: unknown }[]) {
      await seen.reached(await store.commit(writes))
    },
    async [Symbol.asyncDispose]() {
      told[Symbol.dispose]()
      await seen[Symbol.asyncDispose]()
      await store[Symbol.asyncDispose]()
    },
  }
}

const ready = (name: string) => ({ key: keys.phase(name), value: { uid: `uid${name}`, phase: 'ready', since: '' } })

test("the life of an ENV is told in its owner's name", async () => {
  await using on = await ground()
  await on.write({ key: keys.env('e'), value: env('e') }, { key: keys.phase('e'), value: { uid: 'uide', phase: 'creating', since: '' } })
  await on.write(ready('e'))
  await on.write({ key: keys.env('e'), value: env('e', { spec: spec(5, { denyOutgoing: true, lifetimeSeconds: 7200 }) }) })
  await on.write({ key: keys.env('e'), value: env('e', { removing: 'now' }) })
  await on.write({ key: keys.env('e'), value: null })
  const all = await on.read()
  assert.deepEqual(all.map(({ event }) => event), ['created', 'ready', 'changed', 'removing', 'removed'])
  assert.ok(all.every(({ subject, owner }) => subject === 'env/e' && owner === 'ann'))
  assert.equal(all[0]?.message, '2 VMs of i')
  assert.equal(all[2]?.message, '2 VMs became 5; it lives 2 h from its creation; outgoing connections are denied')
})

test('one VM is not told as many', async () => {
  await using on = await ground()
  await on.write({ key: keys.env('e'), value: env('e', { spec: spec(1) }) }, { key: keys.phase('e'), value: { uid: 'uide', phase: 'creating', since: '' } })
  await on.write(ready('e'))
  await on.write({ key: keys.env('e'), value: env('e', { spec: spec(2) }) })
  assert.deepEqual((await on.read()).map(({ message }) => message), ['1 VM of i', 'its VM is ready', '1 VM became 2'])
})

test('of VMs what they do by themselves is told, not what is done to them', async () => {
  await using on = await ground()
  await on.write({ key: keys.env('e'), value: env('e') }, { key: keys.phase('e'), value: { uid: 'uide', phase: 'creating', since: '' } })
  const put = (state: string, more?: object) => on.write({ key: keys.vm('uide.0'), value: vm(state, 0, more) })
  for (const state of ['starting', 'booting', 'ready']) await put(state)
  await on.write(ready('e'))
  await put('stopped', { problem: { code: 'failed', message: 'the guest ended by itself: status 1' } })
  await put('ready')
  await put('stopped', { halted: true })
  await put('failed', { problem: { code: 'failed', message: 'no room' } })
  assert.deepEqual((await on.read()).filter(({ subject }) => subject.startsWith('vm/')).map(({ event, message }) => `${event}: ${message}`), ['stopped: the guest ended by itself: status 1', 'ready: it answers', 'failed: no room'])
})

test('thousands of VMs that fail at once are twenty events and a number', async () => {
  await using on = await ground()
  await on.write({ key: keys.env('e'), value: env('e') })
  await on.write(...Array.from({ length: 3000 }, (_, index) => ({ key: keys.vm(`uide.${index}`), value: vm('failed', index) })))
  await on.world.advance(2000)
  const failed = (await on.read()).filter(({ event }) => event === 'failed')
  assert.equal(failed.length, 21)
  assert.equal(failed.at(-1)?.message, '2980 more VMs failed')
})

test('a host that goes silent is told with the ENVs that have VMs there', async () => {
  await using on = await ground()
  await on.write({ key: keys.env('e'), value: env('e') }, { key: keys.presence('one'), value: {} }, { key: keys.claim('uide.0'), value: { host: 'one', env: 'e' } }, { key: keys.claim('uide.1'), value: { host: 'one', env: 'e' } })
  await on.write({ key: keys.presence('one'), value: null })
  assert.deepEqual(await on.brief(), ['env/e created', 'host/one online', 'host/one offline', 'env/e lost'])
})

test('only the ENVs that were asked for', async () => {
  await using on = await ground()
  for (const name of ['e', 'f']) await on.write({ key: keys.env(name), value: env(name) })
  await on.write({ key: keys.presence('one'), value: {} })
  assert.deepEqual(await on.brief({ envs: ['f'] }), ['env/f created'])
  assert.deepEqual(await on.brief({ envs: ['none'] }), [])
})

test('who follows gets the past and then what comes, until the call ends', async () => {
  await using on = await ground()
  await on.write({ key: keys.env('e'), value: env('e') })
  const stop = new AbortController()
  await using session = on.told.open({ type: 'events', follow: true }, { signal: stop.signal })
  const frames: SessionFrame[] = []
  const reading = (async () => {
    for await (const frame of session.output) frames.push(frame)
  })()
  await on.write({ key: keys.env('f'), value: env('f') })
  await new Promise((resolve) => setTimeout(resolve, 5))
  assert.deepEqual(frames.map((frame) => frame.type === 'event' && frame.event.subject), ['env/e', 'env/f'])
  stop.abort()
  await reading
})

test('it remembers so many events, and tells a reader what it missed', async () => {
  await using on = await ground(10)
  await using session = on.told.open({ type: 'events', follow: true })
  const reader = session.output.getReader()
  await on.write({ key: keys.env('e0'), value: env('e0') })
  assert.equal((await reader.read()).value?.type, 'event')
  for (let at = 1; at <= 40; at++) await on.write({ key: keys.env(`e${at}`), value: env(`e${at}`) })
  const all = await on.brief()
  assert.equal(all.length, 10)
  assert.equal(all.at(-1), 'env/e40 created')
  const rest: SessionFrame[] = []
  for (let count = 0; count < 5; count++) rest.push((await reader.read()).value as SessionFrame)
  const missed = rest.find(({ type }) => type === 'note')
  const count = Number(/^(\d+) events were forgotten/.exec(missed?.type === 'note' ? missed.text : '')?.[1])
  assert.ok(count >= 28 && count <= 31, `41 there were, 10 to 12 are kept, and one was read: ${count} missed`)
})
