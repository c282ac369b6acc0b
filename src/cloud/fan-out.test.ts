import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLog } from '../base/log.ts'
import { realWorld as world } from '../base/world.ts'
import type { TtError } from '../model/errors.ts'
import { keys } from '../model/records.ts'
import type { Peer, Session, SessionFrame, SessionRequest } from '../model/session.ts'
import { memoryStore } from '../store/memory.ts'
import { fanOut } from './fan-out.ts'
import { truth } from './truth.ts'

const exec: SessionRequest = { type: 'exec', vms: { envs: ['e'] }, command: { shell: 'true' } }

/** An ENV of four VMs, the first two on host `a` and the others on `b`. */
async function ground(online: string[], { stopped = false } = {}) {
  const store = memoryStore({ world })
  const group = { image: 'i', digest: 'd', engine: 'x', first: 0, count: 4, cpu: 1, memMb: 1, diskMb: 0, ports: [] }
  const spec = { groups: [group], kicked: [], exceptions: {}, stopped, starts: 0, denyOutgoing: false, deny: [], sshKeys: [], peers: [] }
  await store.commit([
    { key: keys.env('e'), value: { name: 'e', uid: 'uide', owner: 'ann', created: new Date(0).toISOString(), spec } },
    ...['a', 'b'].map((host) => ({ key: keys.host(host), value: { address: `${host}:1`, images: {}, broken: {}, total: {} } })),
    ...online.map((host) => ({ key: keys.presence(host), value: { since: '' } })),
    ...[0, 1, 2, 3].map((index) => ({ key: keys.vm(`uide.${index}`), value: { host: index < 2 ? 'a' : 'b', env: 'e', index, state: 'ready' } })),
  ])
  const seen = await truth(store, { world, log: silentLog })
  return {
    seen,
    async [Symbol.asyncDispose]() {
      await seen[Symbol.asyncDispose]()
      await store[Symbol.asyncDispose]()
    },
  }
}

const peerOf = (frames: (targets: string[]) => AsyncGenerator<SessionFrame>): Peer => ({
  open: async (_request, targets) => ({ output: ReadableStream.from(frames(targets.map(({ vm }) => vm))), input: new WritableStream(), [Symbol.asyncDispose]: async () => undefined }) satisfies Session,
})

const answering = peerOf(async function* (vms) {
  for (const vm of vms) {
    yield { type: 'begin', vm, image: 'i' }
    yield { type: 'exit', vm, code: 0 }
  }
})

/** Ends its first VM, begins its second and is gone. */
const breaking = peerOf(async function* ([one = '', two = '']) {
  yield { type: 'begin', vm: one, image: 'i' }
  yield { type: 'exit', vm: one, code: 0 }
  yield { type: 'begin', vm: two, image: 'i' }
  throw new Error('the line was cut')
})

const silentFromTheStart = peerOf((vms) => brokenBefore(vms.length))

async function* brokenBefore(count: number): AsyncGenerator<SessionFrame> {
  if (count > 0) throw new Error('the line was cut')
  yield { type: 'note', text: 'nobody was asked for' }
}

async function frames(ways: Parameters<typeof fanOut>[0], request = exec): Promise<SessionFrame[]> {
  await using session = await fanOut(ways, request)
  return Array.fromAsync(session.output)
}

const endsOf = (all: SessionFrame[]) =>
  Object.fromEntries(all.flatMap((frame) => (frame.type === 'exit' ? [[frame.vm, 'exit']] : frame.type === 'problem' ? [[frame.vm ?? '-', `${frame.problem.code} ${frame.problem.subject}`]] : [])))

for (const others of [true, false]) {
  test(`fault 17: a host whose session breaks off is said for each VM that had not ended${others ? ', and the others go on' : ', also if it is the only one'}`, async () => {
    await using on = await ground(['a', 'b'])
    const request: SessionRequest = others ? exec : { ...exec, vms: { envs: ['e'], indices: [0, 1] } }
    const all = await frames({ truth: on.seen, peer: (host) => (host === 'a' ? breaking : answering) }, request)
    assert.deepEqual(endsOf(all), { 'e.0': 'exit', 'e.1': 'unavailable vm/e.1', ...(others ? { 'e.2': 'exit', 'e.3': 'exit' } : {}) })
    const [problem] = all.flatMap((frame) => (frame.type === 'problem' ? [frame.problem] : []))
    assert.match(problem?.message ?? '', /host a broke off/)
    assert.equal(problem?.cause, 'the line was cut')
    for (const vm of ['e.0', 'e.1']) assert.equal(all.filter((frame) => frame.type === 'begin' && frame.vm === vm).length, 1, `${vm} begins once`)
  })
}

test('a host that breaks off before its VMs began still begins and ends each', async () => {
  await using on = await ground(['a', 'b'])
  const all = await frames({ truth: on.seen, peer: (host) => (host === 'b' ? silentFromTheStart : answering) })
  assert.deepEqual(endsOf(all), { 'e.0': 'exit', 'e.1': 'exit', 'e.2': 'unavailable vm/e.2', 'e.3': 'unavailable vm/e.3' })
  assert.equal(all.filter(({ type }) => type === 'begin').length, 4)
})

test('a stopped ENV runs no commands, and shows what its VMs said before', async () => {
  await using on = await ground(['a', 'b'], { stopped: true })
  const ways = { truth: on.seen, peer: () => answering }
  await assert.rejects(frames(ways), (error: TtError) => error.code === 'not_ready' && error.remedy === 'start it first: `tt env start e`')
  for (const type of ['push', 'get', 'screen'] as const) await assert.rejects(frames(ways, { type, vms: { envs: ['e'], indices: [0] }, path: '/x' }), (error: TtError) => error.code === 'not_ready')
  assert.deepEqual(Object.keys(endsOf(await frames(ways, { type: 'logs', vms: { envs: ['e'] }, follow: true }))).sort(), ['e.0', 'e.1', 'e.2', 'e.3'])
  assert.deepEqual(endsOf(await frames(ways, { type: 'console', vms: { envs: ['e'], indices: [3] } })), { 'e.3': 'exit' })
})

test('a session of hosts names those that broke off, cannot be reached or do not answer', async () => {
  await using on = await ground(['a'])
  const leak: SessionFrame = { type: 'finding', host: 'a', finding: { check: 'x', state: 'good', message: 'y' } }
  const doctor = peerOf(async function* () {
    yield leak
    throw new Error('the line was cut')
  })
  const first: SessionFrame = { type: 'note', text: 'first' }
  const all = await frames({ truth: on.seen, peer: () => doctor, first: [first] }, { type: 'doctor' })
  assert.deepEqual(all[0], first)
  assert.ok(all.includes(leak) || all.some((frame) => JSON.stringify(frame) === JSON.stringify(leak)))
  const subjects = all.flatMap((frame) => (frame.type === 'problem' ? [`${frame.problem.code} ${frame.problem.subject}`] : [])).sort()
  assert.deepEqual(subjects, ['unavailable host/a', 'unavailable host/b'])
})

test('a session that is given up is given up by its hosts', async () => {
  await using on = await ground(['a', 'b'])
  let disposed = 0
  const stop = new AbortController()
  const hanging: Peer = {
    open: async () => ({
      output: new ReadableStream({ start: (controller) => stop.signal.addEventListener('abort', () => controller.close()) }),
      input: new WritableStream(),
      async [Symbol.asyncDispose]() {
        disposed++
        stop.abort()
      },
    }),
  }
  for (const request of [exec, { ...exec, vms: { envs: ['e'], indices: [0] } }]) {
    disposed = 0
    const session = await fanOut({ truth: on.seen, peer: () => hanging }, request)
    await session.output.cancel()
    assert.ok(disposed > 0)
    await session[Symbol.asyncDispose]()
  }
})
