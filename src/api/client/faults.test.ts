import assert from 'node:assert/strict'
import { createServer, type Socket } from 'node:net'
import { describe, it } from 'node:test'
import { manualWorld } from '../../base/manual-world.ts'
import type { Cloud } from '../../model/cloud.ts'
import { TtError } from '../../model/errors.ts'
import type { SessionRequest } from '../../model/session.ts'
import { httpCloud } from '../client.ts'
import { nodeTransport } from '../node-transport.ts'
import type { Transport } from './transport.ts'
import { sampleServer, sampleToken } from '../sample-server.ts'

const exec: SessionRequest = { type: 'exec', vms: { envs: ['demo'] }, command: { argv: ['x'] } }
const joining: SessionRequest = { ...exec, stdin: true }
const soon = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** Something that listens and is no tt server: `answer` gets every connection. */
async function impostor(answer: (socket: Socket, count: number) => void, options: { world?: ReturnType<typeof manualWorld> } = {}) {
  const sockets = new Set<Socket>()
  let count = 0
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    answer(socket, ++count)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const transport = nodeTransport()
  const url = `http://127.0.0.1:${port}`
  return {
    port,
    url,
    place: `127.0.0.1:${port}`,
    cloud: httpCloud(url, { token: 'x', ...transport, ...options }),
    connections: () => count,
    async [Symbol.asyncDispose]() {
      transport[Symbol.dispose]()
      sockets.forEach((socket) => socket.destroy())
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

const says = (...lines: string[]) => (socket: Socket) => void socket.once('data', () => socket.end(lines.join('\r\n')))
const reply = (type: string, body: string, status = '200 OK') => says(`HTTP/1.1 ${status}`, `content-type: ${type}`, `content-length: ${Buffer.byteLength(body)}`, '', body)

async function consumed(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}

async function output(cloud: Cloud, request: SessionRequest): Promise<void> {
  const session = await cloud.open(request)
  try {
    await consumed(session.output)
  } finally {
    await session[Symbol.asyncDispose]()
  }
}

/** Every way to ask a server something. */
const verbs: Record<string, (cloud: Cloud) => Promise<unknown>> = {
  about: (cloud) => cloud.about(),
  get: (cloud) => cloud.collection('env').get('demo'),
  list: (cloud) => cloud.collection('vm').list(),
  put: (cloud) => cloud.collection('env').put('demo', { spec: { groups: [{ image: 'x' }] } }),
  remove: (cloud) => cloud.collection('env').remove('demo'),
  watch: (cloud) => consumed(cloud.collection('env').watch()),
  open: (cloud) => output(cloud, exec),
  join: (cloud) => output(cloud, joining),
}

async function unavailable(what: string, asked: Promise<unknown>, place: string): Promise<TtError> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error(`${what} hangs`)), 5000)
  try {
    await Promise.race([asked, late.promise])
  } catch (thrown) {
    assert.ok(thrown instanceof TtError, `${what}: ${thrown instanceof Error ? thrown.stack : String(thrown)}`)
    assert.equal(thrown.code, 'unavailable', `${what}: ${thrown.message}`)
    assert.equal(thrown.subject, `server/${place}`, what)
    assert.ok(thrown.message.includes(place) && thrown.remedy !== undefined, what)
    return thrown
  } finally {
    clearTimeout(timer)
  }
  return assert.fail(`${what} was not refused`)
}

describe('a client', () => {
  it('says when nobody answers', async () => {
    const { url, place } = await (async () => {
      await using gone = await impostor(() => undefined)
      return gone
    })()
    using transport = nodeTransport()
    for (const [what, verb] of Object.entries(verbs)) {
      assert.match((await unavailable(what, verb(httpCloud(url, { token: 'x', ...transport })), place)).message, /connection was refused/)
      await unavailable(`${what} by fetch`, verb(httpCloud(url, { token: 'x' })), place)
    }
  })

  it('names the trouble on the way', async () => {
    for (const [code, words] of [['ENOTFOUND', /host name is not known/], ['EAI_AGAIN', /cannot be resolved/], ['EHOSTUNREACH', /no way to that host/], ['HPE_INVALID_CONSTANT', /does not speak HTTP/], ['DEPTH_ZERO_SELF_SIGNED_CERT', /certificate/], ['EWEIRD', /odd/]] as const) {
      for (const fault of [Object.assign(new Error('odd'), { code }), new TypeError('odd', { cause: Object.assign(new Error('odd'), { code }) })]) {
        const request: Transport = () => Promise.reject(fault)
        assert.match((await unavailable(code, httpCloud('http://[::1]:99/', { token: 'x', request }).about(), '[::1]:99')).message, words)
      }
    }
    for (const url of ['', 'localhost:8000', 'ftp://x', 'http://', 'http://x:99999', 'javascript:alert(1)']) assert.throws(() => httpCloud(url, { token: 'x' }), { code: 'invalid' }, url)
  })

  it('knows what is no tt server', async () => {
    const impostors: Record<string, (socket: Socket) => void> = {
      'a web page': reply('text/html', '<html>hello</html>'),
      'a proxy that fails': reply('text/html', '<html>bad gateway</html>', '502 Bad Gateway'),
      'an error of others': reply('application/json', '{"message":"no"}', '404 Not Found'),
      'a redirect': says('HTTP/1.1 302 Found', 'location: http://127.0.0.1:1/', 'content-length: 0', '', ''),
      'one who hangs up': (socket) => socket.end(),
      'one who hangs up later': (socket) => void socket.once('data', () => socket.destroy()),
      'an alert of TLS': (socket) => void socket.once('data', () => socket.end(Buffer.from([0x15, 3, 1, 0, 2, 2, 70]))),
      'a banner of SSH': (socket) => void socket.write('SSH-2.0-OpenSSH_9.2p1\r\n'),
    }
    for (const [kind, answer] of Object.entries(impostors)) {
      await using other = await impostor(answer)
      for (const [what, verb] of Object.entries(verbs)) await unavailable(`${what} of ${kind}`, verb(other.cloud), other.place)
    }
  })

  it('knows answers that are not what was asked for', async () => {
    const bodies = ['', '{}', '[]', 'null', '"x"', '{"items":{}}', '{"items":[1],"missing":[]}', '{"kind":"vm","name":"x","spec":{}}', '{"kind":"env"', '\ufffd', '<html>']
    for (const body of bodies) {
      await using other = await impostor(reply('application/json', body))
      for (const what of ['about', 'get', 'list', 'put']) await unavailable(`${what} ${body}`, verbs[what]?.(other.cloud) ?? assert.fail(), other.place)
    }
    for (const lines of ['hello\n', '{"type":"stdout"}\n', '{"error":1}\n', '{"type":"begin","vm":"a.0","image":"x"}\n{"type":']) {
      await using other = await impostor(reply('application/x-ndjson', lines))
      const outcome = await output(other.cloud, exec).catch((thrown: TtError) => thrown.code)
      assert.ok(outcome === 'unavailable' || outcome === 'internal', `${lines}: ${String(outcome)}`)
    }
    for (const events of ['', 'event: is\ndata: {}\n\n', 'event: is\ndata: {\n\n', 'event: boom\ndata: {}\n\n', 'event: synced\ndata: {}\n\n']) {
      await using other = await impostor(reply('text/event-stream', events))
      await unavailable(`watch ${events}`, consumed(other.cloud.collection('env').watch()), other.place)
    }
  })

  it('notices an answer that is cut off', async () => {
    const cut = (type: string, body: string) => says('HTTP/1.1 200 OK', `content-type: ${type}`, 'content-length: 1000', '', body)
    const broken = (type: string, body: string) => says('HTTP/1.1 200 OK', `content-type: ${type}`, 'transfer-encoding: chunked', '', body.length.toString(16), body, '')
    for (const how of [cut, broken]) {
      await using list = await impostor(how('application/json', '{"items":[],"missing":[]}'))
      await unavailable('list', list.cloud.collection('env').list(), list.place)
      await using lines = await impostor(how('application/x-ndjson', '{"type":"begin","vm":"a.0","image":"x"}\n'))
      await unavailable('open', output(lines.cloud, exec), lines.place)
      await using events = await impostor(how('text/event-stream', 'event: synced\ndata: {}\n\n'))
      await unavailable('watch', consumed(events.cloud.collection('env').watch()), events.place)
    }
  })

  it('does not wait for ever', async () => {
    const world = manualWorld()
    await using mute = await impostor(() => undefined, { world })
    for (const what of ['about', 'get', 'list', 'put', 'remove', 'watch', 'open', 'join']) {
      const asked = verbs[what]?.(mute.cloud).catch((thrown: TtError) => thrown)
      await soon(20)
      await world.advance(7999)
      await world.advance(2)
      const error = await asked
      assert.ok(error instanceof TtError && error.code === 'timeout', what)
      assert.equal(error.message, `${mute.place} did not answer within 8 s`)
    }
    await using halting = await impostor((socket) => void socket.once('data', (head) => socket.write(`HTTP/1.1 200 OK\r\ncontent-type: ${String(head).includes('event-stream') ? 'text/event-stream' : 'application/json'}\r\n\r\n{`)), { world })
    for (const [what, ms] of [['list', 30_000], ['watch', 45_000]] as const) {
      const asked = unavailable(what, verbs[what]?.(halting.cloud) ?? assert.fail(), halting.place)
      await soon(50)
      await world.advance(ms + 1)
      assert.match((await asked).message, /nothing was heard/)
    }
    await using quick = await impostor(reply('application/json', '{"items":[],"missing":[]}'), { world })
    await quick.cloud.collection('env').list()
    await using lines = await impostor(reply('application/x-ndjson', '{"type":"exit","vm":"a.0","code":0}\n'), { world })
    await output(lines.cloud, exec)
    assert.equal(world.timers, 0, 'no timer is left')
  })

  it('leaves at once when it is told to, and does not hold the connection', async () => {
    await using served = await sampleServer()
    await served.cloud.collection('env').put('demo', { spec: { groups: [{ image: 'sample:micro' }] } })
    await using mute = await impostor(() => undefined)
    for (const [what, verb] of [['get', (signal: AbortSignal) => mute.cloud.collection('env').get('x', { signal })], ['open', (signal: AbortSignal) => mute.cloud.open(exec, { signal })], ['join', (signal: AbortSignal) => mute.cloud.open(joining, { signal })]] as const) {
      const controller = new AbortController()
      const asked = verb(controller.signal)
      setTimeout(() => controller.abort(), 30)
      await assert.rejects(asked, { code: 'cancelled' }, what)
    }
    const controller = new AbortController()
    const session = await served.remote.open({ ...exec, command: { argv: ['sleep', '1'] } }, { signal: controller.signal })
    controller.abort()
    assert.equal((await session.output.getReader().read()).value?.type, 'begin', 'opening is over, so the call is')
    await session[Symbol.asyncDispose]()
  })

  it('breaks the watch when the server dies, and begins anew when asked to', async () => {
    const first = await sampleServer()
    const watch = first.remote.collection('env').watch()[Symbol.asyncIterator]()
    assert.equal((await watch.next()).value?.type, 'synced')
    const next = watch.next()
    await first.server[Symbol.asyncDispose]()
    await assert.rejects(next, { code: 'unavailable' })
    await first[Symbol.asyncDispose]()
  })

  it('asks again where a kept connection was closed just then, but never runs anything twice', async () => {
    const answers: string[] = []
    await using flaky = await impostor((socket, count) => {
      socket.on('data', (head) => {
        const method = String(head).split(' ')[0] ?? ''
        answers.push(`${count} ${method}`)
        const isSecond = answers.filter((one) => one.startsWith(`${count} `)).length > 1
        if (isSecond) socket.resetAndDestroy()
        else socket.write('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n{"version":"1"}')
      })
    })
    await flaky.cloud.about()
    await flaky.cloud.about()
    assert.deepEqual(answers, ['1 GET', '1 GET', '2 GET'])
    await unavailable('open', flaky.cloud.open(exec), flaky.place)
    assert.deepEqual(answers, ['1 GET', '1 GET', '2 GET', '2 POST'])
  })

  it('by fetch does not ask for what the address would not say', async () => {
    await using served = await sampleServer()
    const cloud = httpCloud(served.url, { token: sampleToken })
    for (const name of ['.', '..']) await assert.rejects(cloud.collection('env').remove(name), { code: 'invalid' })
    await assert.rejects(cloud.collection('env').get('a/../b'), { code: 'not_found', subject: 'env/a/../b' })
  })
})
