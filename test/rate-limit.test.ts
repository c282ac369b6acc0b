import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import WebSocket from 'ws'
import { silentLog } from '../src/base/log.ts'
import { realWorld as world } from '../src/base/world.ts'
import { httpCloud } from '../src/api/client.ts'
import { nodeTransport } from '../src/api/node-transport.ts'
import { sampleCloud } from '../src/api/sample-cloud.ts'
import { ask } from '../src/api/sample-requests.ts'
import { sampleToken } from '../src/api/sample-server.ts'
import { apiServer } from '../src/api/server.ts'

async function served(perSecond: number, burst: number) {
  const cloud = sampleCloud()
  await cloud.collection('env').put('demo', { spec: { groups: [{ image: 'sample:micro', count: 1 }], lifetimeSeconds: null } })
  const server = apiServer({ cloudFor: () => cloud, authenticate: (token) => (token === sampleToken ? { user: { name: 'ann', role: 'admin' } } : undefined), world, log: silentLog, drainMs: 200, rateLimit: { perSecond, burst } })
  await server.listen('127.0.0.1', 0)
  const port = server.address?.port ?? 0
  const transport = nodeTransport()
  return {
    port,
    cloud: httpCloud(`http://127.0.0.1:${port}`, { token: sampleToken, world, ...transport }),
    async [Symbol.asyncDispose]() {
      transport[Symbol.dispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}

describe('a server with a limit of requests', () => {
  it('[J07 fault 32] answers 429, with when to come again, and counts it', async () => {
    await using one = await served(1, 3)
    const answers = []
    for (let times = 0; times < 4; times++) answers.push(await ask(one.port, 'GET', '/v1'))
    assert.deepEqual(answers.map(({ status }) => status), [200, 200, 200, 429])
    const last = answers[3]
    assert.deepEqual([last?.headers['retry-after'], last?.json<{ error: { code: string } }>().error.code], ['1', 'limited'])
    assert.equal((await ask(one.port, 'GET', '/ping', { token: '' })).status, 200, 'nobody in particular is not limited')
    await new Promise((resolve) => setTimeout(resolve, 1100))
    const { text } = await ask(one.port, 'GET', '/metrics')
    assert.match(text, /^tt_http_limited_total\{who="token"\} 1$/m)
    assert.match(text, /^tt_http_requests_total\{route="none",status="429"\} 1$/m)
  })

  it('J02: answers whoever guesses tokens no more, and its users as before', async () => {
    await using one = await served(1000, 1000)
    assert.equal((await ask(one.port, 'GET', '/v1')).status, 200)
    const statuses = new Map<number, number>()
    for (let at = 0; at < 130; at++) {
      const { status } = await ask(one.port, 'GET', '/v1', { token: `guess-${at}` })
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
    assert.ok((statuses.get(401) ?? 0) >= 100 && (statuses.get(429) ?? 0) >= 10, JSON.stringify([...statuses]))
    assert.equal((await ask(one.port, 'GET', '/v1')).status, 200)
  })

  it('refuses WebSockets as it refuses requests', async () => {
    await using one = await served(1, 1)
    assert.equal((await ask(one.port, 'GET', '/v1')).status, 200)
    const socket = new WebSocket(`ws://127.0.0.1:${one.port}/v1/session`, { headers: { authorization: `Bearer ${sampleToken}` } })
    const refused = await new Promise<[number | undefined, string | undefined]>((resolve, reject) => {
      socket.on('unexpected-response', (_request, { statusCode, headers }) => resolve([statusCode, headers['retry-after']])).on('open', () => reject(new Error('it opened'))).on('error', () => undefined)
    })
    assert.deepEqual(refused, [429, '1'])
    socket.terminate()
  })

  it('is waited for by the client, for requests and for sessions', { timeout: 20_000 }, async () => {
    await using one = await served(2, 2)
    const began = Date.now()
    const versions = await Promise.all(Array.from({ length: 5 }, () => one.cloud.about()))
    assert.equal(versions.length, 5)
    const session = await one.cloud.open({ type: 'exec', stdin: true, vms: { envs: ['demo'] }, command: { argv: ['cat'] } })
    await session[Symbol.asyncDispose]()
    assert.ok(Date.now() - began >= 1900, `${Date.now() - began} ms`)
  })
})
