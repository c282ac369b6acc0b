import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import { jsonLog } from '../base/log.ts'
import { ask, raw } from './sample-requests.ts'
import { sampleServer, sampleToken } from './sample-server.ts'

const json = { 'content-type': 'application/json' }
const spec = { groups: [{ image: 'sample:micro', count: 1, cpu: 1, memMb: 100, diskMb: 100 }] }
const head = (line: string, ...more: string[]) => [line, 'host: x', `authorization: Bearer ${sampleToken}`, ...more, '', ''].join('\r\n')

describe('a hostile caller', () => {
  const faults: string[] = []
  let served: Awaited<ReturnType<typeof sampleServer>>
  before(async () => {
    served = await sampleServer({ log: jsonLog((line) => faults.push(line), Date.now, 'error') })
    await served.cloud.collection('env').put('demo', { spec })
  })
  after(async () => {
    await using _ = served
    assert.equal((await ask(served.port, 'GET', '/ping', { token: '' })).status, 200, 'it lives')
    assert.deepEqual(faults, [])
  })
  const refused = async (status: number, ...request: Parameters<typeof ask> extends [number, ...infer Rest] ? Rest : never) => {
    const answer = await ask(served.port, ...request)
    assert.equal(answer.status, status, `${request[0]} ${request[1].slice(0, 80)}: ${answer.text.slice(0, 300)}`)
    const { error } = answer.json<{ error: { code: string; message: string } }>()
    assert.ok(error.code && error.message && error.message.length <= 2000 && !/\n {4}at /.test(answer.text))
    return error
  }

  it('with bodies that are none', async () => {
    const bodies = ['', '{', 'null', '[]', '"x"', '{"spec"}', '{}', '{"spec":null}', '{"spec":[]}', '{"spec":{},"more":1}', '{"spec":{"groups":"x"}}', '{"spec":{},"uid":"X"}', '{"__proto__":{"spec":{}}}', '\ufeff{}', '{"spec":{}}{', '{"spec":{"groups":[{"count":1e400}]}}', '{"spec":{"groups":[],"constructor":{}}}', `{"spec":{"${'x'.repeat(100_000)}":1}}`]
    for (const body of bodies) await refused(400, 'PUT', '/v1/env/bad', { headers: json, body })
    await refused(400, 'PUT', '/v1/env/bad', { headers: json, body: `{"spec":${'['.repeat(100_000)}${']'.repeat(100_000)}}` })
    await refused(400, 'PATCH', '/v1/env/demo', { headers: json, body: `{"spec":${'{"a":'.repeat(500_000)}1${'}'.repeat(500_000)}}` })
    assert.match(await raw(served.port, Buffer.concat([Buffer.from(head('PUT /v1/env/bad HTTP/1.1', 'connection: close', 'content-length: 3')), Buffer.from([0x22, 0xff, 0x22])])), /^HTTP\/1\.1 400 .*is not UTF-8/s)
    await refused(404, 'GET', '/v1/env/bad')
  })

  it('with bodies without end', async () => {
    await refused(413, 'PUT', '/v1/env/bad', { headers: { ...json, 'content-length': String(2 ** 40) } })
    await refused(413, 'PUT', '/v1/env/bad', { headers: json, body: 'x'.repeat(4 * 1024 * 1024 + 1) })
    await refused(413, 'PUT', '/v1/env/bad', { headers: { ...json, 'transfer-encoding': 'chunked' }, body: 'x'.repeat(6 * 1024 * 1024) })
    await refused(400, 'PUT', '/v1/env/bad', { headers: json, body: `{"spec":{"groups":[${'{},'.repeat(1_000_000)}{}]}}` })
  })

  it('with types, conditions and queries that are none', async () => {
    for (const type of ['text/plain', 'text/html', 'multipart/form-data; boundary=x', 'application/xml', 'application/json2', 'x'.repeat(1000)]) await refused(400, 'PUT', '/v1/env/bad', { headers: { 'content-type': type }, body: { spec } })
    await refused(400, 'PUT', '/v1/env/bad', { headers: { ...json, 'content-encoding': 'gzip' }, body: { spec } })
    for (const tag of ['17', 'W/"17"', '"a", "b"', '*', '"']) await refused(400, 'PUT', '/v1/env/bad', { headers: { ...json, 'if-match': tag }, body: { spec } })
    await refused(400, 'PUT', '/v1/env/bad', { headers: { ...json, 'if-none-match': '"17"' }, body: { spec } })
    await refused(400, 'DELETE', '/v1/env/demo', { headers: { 'if-match': '"17"' } })
    for (const query of ['?wait=-1', '?wait=1e3', '?wait=3601', '?wait=', '?wait=1&wait=2', '?more=1', '?__proto__=1', '?wait[]=1', '?%zz=1', `?${'a=1&'.repeat(1000)}`]) await refused(400, 'GET', `/v1/env/demo${query}`)
    assert.equal((await ask(served.port, 'GET', '/v1/env/demo')).status, 200)
  })

  it('with paths and names that are none', async () => {
    for (const path of ['/v1/env/%', '/v1/env/%zz', '/v1/env/%ff%fe', '/v1/image/%c3%28']) await refused(400, 'GET', path)
    for (const path of ['/../../etc/passwd', '/v1/../../etc/passwd', '/v1/env/..', '/v1/env/%2e%2e', '/v1/env/..%2f..%2fetc%2fpasswd', '/v1/image/../../etc/passwd', `/v1/env/${'x'.repeat(200)}`, `/v1/env/${'x'.repeat(10_000)}`, '/v1/env/demo/vm/..', '/v1/env/demo/vm/__proto__', '/v1/host/constructor', '/v1/env/a%00b', '/v1/env/%0d%0aset-cookie:%20x', '/v1/nothing', '/v1/env/demo/vm/0/more', '//evil/v1/env', '/V1/ENV']) await refused(404, 'GET', path)
    for (const name of ['', '..', 'a%2Fb', 'x'.repeat(200), '%00', '$(reboot)', 'a%20b', '%F0%9F%98%80']) {
      const { code } = await refused(400, 'PUT', `/v1/env/${name}`, { headers: json, body: { spec } })
      assert.equal(code, 'invalid')
    }
    assert.deepEqual((await ask(served.port, 'GET', '/v1/env')).json<{ items: { name: string }[] }>().items.map(({ name }) => name), ['demo'])
  })

  it('with sessions that are none', async () => {
    const bodies: unknown[] = [{ type: 'exec', vms: { envs: 'demo' }, command: { argv: ['x'] } }, { type: 'exec', vms: { envs: ['demo'], indices: [-1] }, command: { argv: ['x'] } }, { type: 'exec', vms: { envs: ['demo'] }, command: { argv: [''], shell: '' } }, { type: 'exec', vms: { envs: Array.from({ length: 1001 }, () => 'demo') }, command: { argv: ['x'] } }, { type: 'exec', vms: { envs: ['demo'] }, command: { argv: ['x'] }, env: { '': 'x' } }, { type: 'exec', vms: { envs: ['demo'] }, command: { argv: ['x'] }, timeoutMs: 1e12 }, { type: 'logs' }, { type: 'build', image: '' }, { type: null }]
    for (const body of bodies) await refused(400, 'POST', '/v1/session', { headers: json, body })
  })

  it('with requests that are none', async () => {
    const requests = ['BREW /ping HTTP/1.1\r\n\r\n', 'ping\r\n\r\n', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc', 'GET /ping HTTP/9.9\r\n\r\n', `GET /ping HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`, `GET /${'y'.repeat(20_000)} HTTP/1.1\r\nhost: x\r\n\r\n`, 'GET /ping HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n', 'GET /ping HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n', 'GET /ping HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n', 'POST /v1/session HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n']
    for (const request of requests) {
      const answer = await raw(served.port, request)
      assert.match(answer, /^HTTP\/1\.1 4\d\d /, JSON.stringify(request.slice(0, 60)))
      assert.match(answer, /\{"error":\{"code":"(invalid|too_large|unauthenticated)"/)
    }
    assert.match(await raw(served.port, head('PUT /v1/env/x HTTP/1.1', 'expect: miracles', 'connection: close')), /^HTTP\/1\.1 417 /)
    assert.match(await raw(served.port, head('GET http://other.example/v1 HTTP/1.1', 'connection: close')), /^HTTP\/1\.1 200 /)
    assert.match(await raw(served.port, head('GET http://other.example HTTP/1.1', 'connection: close')), /^HTTP\/1\.1 404 /)
    assert.match(await raw(served.port, head('OPTIONS * HTTP/1.1', 'connection: close')), /^HTTP\/1\.1 404 /)
    assert.equal(await raw(served.port, head('CONNECT x:1 HTTP/1.1')), '')
  })

  it('with headers that would be others', async () => {
    for (const id of ['a\tb', 'x'.repeat(65), 'ä', '${jndi:ldap://x}', '<script>']) {
      const { headers } = await ask(served.port, 'GET', '/v1', { headers: { 'x-request-id': id } })
      assert.match(String(headers['x-request-id']), /^[\w.-]{1,64}$/)
      assert.notEqual(headers['x-request-id'], id)
    }
    const injected = await raw(served.port, head('GET /v1 HTTP/1.1', 'x-request-id: a\rset-cookie: x', 'connection: close'))
    assert.doesNotMatch(injected, /^set-cookie/im)
  })

  it('that sends several requests at once', async () => {
    const answer = await raw(served.port, [head('GET /v1 HTTP/1.1'), head('GET /v1/env/nope HTTP/1.1'), head('GET /ping HTTP/1.1', 'connection: close')].join(''))
    assert.deepEqual([...answer.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, status]) => status), ['200', '404', '200'])
  })

  it('that closes its half of the connection', async () => {
    assert.match(await raw(served.port, head('GET /v1 HTTP/1.1', 'connection: close'), { half: true }), /^HTTP\/1\.1 200 /)
    assert.match(await raw(served.port, head('PUT /v1/env/x HTTP/1.1', 'content-length: 100') + '{', { half: true }), /^$|^HTTP\/1\.1 400 /)
  })

  it('that goes away in the middle', async () => {
    const leave = (bytes: string) =>
      new Promise<void>((resolve) => {
        const socket = connect({ host: '127.0.0.1', port: served.port }, () => {
          socket.write(bytes)
          setTimeout(() => socket.resetAndDestroy(), 30)
        })
        socket.on('error', () => undefined)
        socket.on('close', () => resolve())
      })
    await leave('GET /v1/en')
    await leave(head('PUT /v1/env/x HTTP/1.1', 'content-length: 100') + '{"spec"')
    await leave(head('GET /v1/env HTTP/1.1', 'accept: text/event-stream'))
    await leave(head('GET /v1/env/demo/vm/0/logs?follow=1 HTTP/1.1'))
    const body = JSON.stringify({ argv: ['flood'] })
    await leave(head('POST /v1/env/demo/run HTTP/1.1', 'content-type: application/json', `content-length: ${body.length}`) + body)
    const sample = served.cloud as unknown as { sessions: Set<unknown>; watches: Set<unknown> }
    for (let tries = 0; sample.sessions.size + sample.watches.size > 0 && tries < 200; tries++) await new Promise((resolve) => setTimeout(resolve, 10))
    assert.deepEqual([sample.sessions.size, sample.watches.size], [0, 0], 'what it had opened has ended')
  })

  it('with anything at all', async () => {
    const junk = fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.tuple(fc.constantFrom('GET', 'PUT', 'POST', 'PATCH', 'DELETE'), fc.string({ maxLength: 60 }), fc.json({ maxDepth: 3 })).map(([method, path, body]) => Buffer.from(`${method} /v1/env/${path.replaceAll(/[\r\n]/g, '')} HTTP/1.1\r\nauthorization: Bearer ${sampleToken}\r\nhost: x\r\nconnection: close\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)))
    await fc.assert(
      fc.asyncProperty(junk, async (bytes) => {
        const answer = await raw(served.port, bytes, { half: true })
        assert.doesNotMatch(answer, /^HTTP\/1\.1 5/)
      }),
      { numRuns: 150 },
    )
  })
})
