import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { describe, it } from 'node:test'
import { manualWorld } from '../base/manual-world.ts'
import { realWorld } from '../base/world.ts'
import type { Cloud } from '../model/cloud.ts'
import { TtError } from '../model/errors.ts'
import { type SampleCloud, sampleCloud } from './sample-cloud.ts'
import { ask } from './sample-requests.ts'
import { sampleServer, sampleToken } from './sample-server.ts'
import { heartbeatMs } from './sending.ts'

const spec = { groups: [{ image: 'sample:micro', count: 1, cpu: 1, memMb: 100, diskMb: 100 }] }
const soon = (ms = 20) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** A stream that goes on, as it comes. */
async function listening(port: number, path: string, headers: Record<string, string> = {}) {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    process.getBuiltinModule('node:http').get({ port, path, agent: false, host: '127.0.0.1', headers: { authorization: `Bearer ${sampleToken}`, ...headers } }, resolve).on('error', reject)
  })
  const heard = { text: '', pieces: 0, over: false, cut: false }
  response.setEncoding('utf8')
  response.on('data', (piece: string) => {
    heard.text += piece
    heard.pieces++
  })
  response.on('end', () => (heard.over = true))
  response.on('error', () => (heard.cut = true))
  const until = async (test: () => boolean) => {
    for (let tries = 0; !test(); tries++) {
      if (tries > 500) assert.fail(`it never came; so far ${JSON.stringify(heard)}`)
      await soon(5)
    }
  }
  return { response, heard, until }
}
const events = { accept: 'text/event-stream' }

describe('a watch', () => {
  it('tells what there is, numbered, and every change', async () => {
    await using served = await sampleServer()
    const envs = served.cloud.collection('env')
    await envs.put('demo', { spec })
    const { heard, until, response } = await listening(served.port, '/v1/env', events)
    assert.equal(response.headers['content-type'], 'text/event-stream')
    await until(() => heard.text.includes('synced'))
    assert.match(heard.text, /^event: is\nid: 1\ndata: \{"kind":"env","name":"demo".*\}\n\nevent: synced\nid: 2\ndata: \{\}\n\n$/)
    assert.equal(heard.pieces, 1, 'what is there at once leaves at once')
    await envs.remove('demo')
    await until(() => /event: gone\nid: \d\ndata: \{"name":"demo"\}\n\n$/.test(heard.text))
    response.destroy()
    await until(() => (served.cloud as SampleCloud).watches.size === 0)
  })

  it('of the VMs of an ENV is refused where there is none', async () => {
    await using served = await sampleServer()
    for (const path of ['/v1/env/nope/vm', '/v1/vm?under=nope']) {
      const { status, json } = await ask(served.port, 'GET', path, { headers: events })
      assert.deepEqual([status, json<{ error: { subject: string } }>().error.subject], [404, 'env/nope'])
    }
    await served.cloud.collection('env').put('demo', { spec })
    const { heard, until } = await listening(served.port, '/v1/env/demo/vm', events)
    await until(() => heard.text.includes('demo.0') && heard.text.includes('synced'))
  })

  it('says that it lives', async () => {
    const world = manualWorld()
    await using served = await sampleServer({ world: { ...world, sleep: realWorld.sleep } })
    const { heard, until } = await listening(served.port, '/v1/env', events)
    await until(() => heard.text.includes('synced'))
    await world.advance(heartbeatMs - 1)
    await soon()
    assert.doesNotMatch(heard.text, /alive/)
    await world.advance(heartbeatMs + 1)
    await until(() => [...heard.text.matchAll(/: alive\n\n/g)].length === 2)
  })

  it('that breaks says why', async () => {
    const cloud = sampleCloud()
    const breaking: Cloud = {
      ...cloud,
      collection: (kind) => ({
        ...cloud.collection(kind),
        async *watch() {
          yield { type: 'synced' }
          throw new TtError({ code: 'unavailable', message: 'the store is gone' })
        },
      }),
    }
    await using served = await sampleServer({ cloud: breaking })
    const { heard, until } = await listening(served.port, '/v1/env', events)
    await until(() => heard.over)
    assert.match(heard.text, /event: problem\nid: 2\ndata: \{"error":\{"code":"unavailable","message":"the store is gone"\}\}\n\n$/)
    const told: string[] = []
    await assert.rejects(
      async () => {
        for await (const change of served.remote.collection('env').watch()) told.push(change.type)
      },
      { code: 'unavailable', message: 'the store is gone' },
    )
    assert.deepEqual(told, ['synced'])
  })
})

describe('a long answer', () => {
  it('begins before it is whole, and lets others in between', async () => {
    await using served = await sampleServer()
    const { cloud, port } = served
    await cloud.collection('env').put('big', { spec: { groups: [{ ...spec.groups[0], image: 'sample:micro', count: 10_000 }] } })
    const began = performance.now()
    const { heard, until } = await listening(port, '/v1/vm')
    await until(() => heard.pieces > 0)
    const firstMs = performance.now() - began
    await until(() => heard.over)
    const allMs = performance.now() - began
    const { items } = JSON.parse(heard.text) as { items: unknown[] }
    assert.equal(items.length, 10_000)
    assert.equal(heard.text.split('\n').length, 10_003, 'one item per line')
    assert.ok(firstMs < allMs && heard.pieces > 10)
    assert.ok(allMs < 5000, `${Math.round(allMs)} ms`)
  })

  it('waits for a reader that is slow, however much there is', async () => {
    const cloud = sampleCloud()
    let produced = 0
    const counting: Cloud = {
      ...cloud,
      async open(request, call) {
        const session = await cloud.open(request, call)
        const counted = session.output.pipeThrough(new TransformStream({ transform: (frame, to) => (produced++, to.enqueue(frame)) }, { highWaterMark: 1 }, { highWaterMark: 0 }))
        return { ...session, output: counted }
      },
    }
    await using served = await sampleServer({ cloud: counting })
    await cloud.collection('env').put('demo', { spec })
    for (const stdin of [false, true]) {
      produced = 0
      const session = await served.remote.open({ type: 'exec', vms: { envs: ['demo'] }, command: { argv: ['flood'] }, stdin })
      const reader = session.output.getReader()
      for (let at = 0; at < 5; at++) await reader.read()
      await soon(300)
      const soFar = produced
      assert.ok(soFar * 65_536 < 32 * 1024 * 1024, `${soFar} pieces of 64 KiB for a reader of 5`)
      await soon(100)
      assert.equal(produced, soFar, 'it waits')
      for (let at = 0; at < 200; at++) await reader.read()
      assert.ok(produced > soFar - 1 && produced >= 200, 'and goes on')
      await session[Symbol.asyncDispose]()
    }
    for (let tries = 0; cloud.sessions.size > 0 && tries < 200; tries++) await soon(10)
    assert.equal(cloud.sessions.size, 0)
  })
})

describe('a server that stops', () => {
  it('ends watches and waits at once, and says so', async () => {
    const cloud = sampleCloud({ patient: true })
    await using served = await sampleServer({ cloud, drainMs: 5000 })
    await cloud.collection('env').put('demo', { spec })
    const watch = await listening(served.port, '/v1/env', events)
    await watch.until(() => watch.heard.text.includes('synced'))
    const waiting = ask(served.port, 'GET', '/v1/env/demo?wait=60')
    const watched = (async () => {
      for await (const _ of served.remote.collection('env').watch());
    })()
    while (cloud.watches.size < 3) await soon(5)
    const began = performance.now()
    const stopped = served.server[Symbol.asyncDispose]()
    await assert.rejects(watched, { code: 'unavailable', message: 'the server is stopping' })
    const { status, json } = await waiting
    assert.deepEqual([status, json<{ error: { message: string } }>().error.message], [503, 'the server is stopping'])
    await stopped
    assert.ok(performance.now() - began < 2000)
    await watch.until(() => /event: problem\n.*the server is stopping/s.test(watch.heard.text))
    assert.equal(served.server.address, undefined)
    await assert.rejects(ask(served.port, 'GET', '/ping'), { code: 'ECONNREFUSED' })
  })

  it('does not wait for those who have asked nothing', async () => {
    await using served = await sampleServer({ drainMs: 5000 })
    const socket = connect(served.port, '127.0.0.1')
    await new Promise((resolve) => socket.on('connect', resolve))
    await ask(served.port, 'GET', '/ping')
    const closed = new Promise((resolve) => socket.on('close', resolve))
    const began = performance.now()
    await served.server[Symbol.asyncDispose]()
    assert.ok(performance.now() - began < 2000)
    await closed
  })

  it('lets commands finish for a while, and then ends them', async () => {
    const cloud = sampleCloud()
    await using served = await sampleServer({ cloud, drainMs: 300 })
    await cloud.collection('env').put('demo', { spec })
    const open = (argv: string[], stdin: boolean) => served.remote.open({ type: 'exec', vms: { envs: ['demo'] }, command: { argv }, stdin })
    const quick = await open(['cat'], true)
    const slow = await Promise.all([open(['sleep', '1'], false), open(['sleep', '1'], true)])
    const began = performance.now()
    const stopped = served.server[Symbol.asyncDispose]()
    await soon(50)
    const writer = quick.input.getWriter()
    await writer.write({ type: 'stdin', data: new TextEncoder().encode('still here') })
    await writer.write({ type: 'eof' })
    const frames = []
    for await (const frame of quick.output) frames.push(frame)
    assert.deepEqual(frames.at(-1), { type: 'exit', vm: 'demo.0', code: 0 })
    for (const session of slow) {
      await assert.rejects(
        async () => {
          for await (const _ of session.output);
        },
        { code: 'unavailable', message: 'the server is stopping' },
      )
    }
    await stopped
    const tookMs = performance.now() - began
    assert.ok(tookMs > 250 && tookMs < 2000, `${tookMs} ms`)
    assert.equal(cloud.sessions.size, 0)
  })
})
