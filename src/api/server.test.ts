import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { TtError } from '../model/errors.ts'
import { jsonLog } from '../base/log.ts'
import { sampleCloud } from './sample-cloud.ts'
import { ask } from './sample-requests.ts'
import { sampleServer } from './sample-server.ts'

const spec = { groups: [{ image: 'sample:micro', count: 2, cpu: 1, memMb: 100, diskMb: 100 }], lifetimeSeconds: null }
const json = { 'content-type': 'application/json' }

/** A server with an ENV `demo` of two VMs. */
async function withDemo() {
  const served = await sampleServer()
  await served.cloud.collection('env').put('demo', { spec })
  return served
}

describe('the server', () => {
  it('[L04] answers nothing but /ping without a token', async () => {
    await using served = await withDemo()
    const { port } = served
    const ping = await ask(port, 'GET', '/ping', { token: '' })
    assert.deepEqual([ping.status, ping.json()], [200, { ok: true }])
    const attempts: [string, string][] = [['GET', '/'], ['GET', '/v1'], ['GET', '/version'], ['GET', '/metrics'], ['GET', '/v1/openapi.json'], ['GET', '/nothing'], ['POST', '/ping'], ['OPTIONS', '/v1/env'], ['GET', '/v1/env/%zz'], ['PUT', '/v1/env/x'], ['HEAD', '/v1/env']]
    for (const [method, path] of attempts) {
      for (const token of ['', 'wrong', 'sample-token-012345678', ' ']) {
        const { status, headers, text } = await ask(port, method, path, { token })
        assert.equal(status, 401, `${method} ${path}`)
        assert.equal(headers['www-authenticate'], 'Bearer')
        if (method !== 'HEAD') assert.equal((JSON.parse(text) as { error: { code: string } }).error.code, 'unauthenticated')
      }
    }
    for (const authorization of ['sample-token-0123456789', 'Basic sample-token-0123456789', 'Bearer', 'Bearer a b']) {
      assert.equal((await ask(port, 'GET', '/v1', { token: '', headers: { authorization } })).status, 401, authorization)
    }
    assert.equal((await ask(port, 'GET', '/v1', { token: '', headers: { authorization: 'bearer  sample-token-0123456789' } })).status, 200)
  })

  it('says what it is', async () => {
    await using served = await sampleServer()
    const { port } = served
    assert.deepEqual((await ask(port, 'GET', '/version')).json(), { version: '0.0.0', cloud: 'sample', user: 'admin', role: 'admin' })
    assert.deepEqual((await ask(port, 'GET', '/v1')).json(), { cloud: 'sample', version: '0.0.0', user: 'admin', role: 'admin' })
    assert.equal((await ask(port, 'GET', '/v1/openapi.json')).json().openapi, '3.1.0')
    const { text, headers } = await ask(port, 'GET', '/metrics')
    assert.match(headers['content-type'] ?? '', /^text\/plain/)
    assert.match(text, /^tt_http_requests_total\{route="version",status="200"\} 1$/m)
    assert.match(text, /^process_resident_memory_bytes \d+$/m)
  })

  it('creates, shows, changes and removes', async () => {
    await using served = await sampleServer()
    const { port } = served
    const created = await ask(port, 'PUT', '/v1/env/demo', { headers: { ...json, 'if-none-match': '*' }, body: { spec, uid: 'once1234' } })
    assert.equal(created.status, 200)
    const tag = created.headers.etag ?? ''
    assert.equal(tag, `"${String(created.json().revision)}"`)
    assert.equal((await ask(port, 'PUT', '/v1/env/demo', { headers: { ...json, 'if-none-match': '*' }, body: { spec, uid: 'once1234' } })).headers.etag, tag, 'a repeat')
    assert.equal((await ask(port, 'PUT', '/v1/env/demo', { headers: { ...json, 'if-none-match': '*' }, body: { spec } })).status, 409)
    const shown = await ask(port, 'GET', '/v1/env/demo')
    assert.deepEqual(shown.json(), created.json())
    assert.equal(shown.headers.etag, tag)

    const patched = await ask(port, 'PATCH', '/v1/env/demo', { headers: { 'content-type': 'application/merge-patch+json', 'if-match': tag }, body: { spec: { lifetimeSeconds: 7200 } } })
    assert.equal(patched.json<{ spec: { lifetimeSeconds: number; groups: unknown[] } }>().spec.lifetimeSeconds, 7200)
    assert.deepEqual(patched.json<{ spec: { groups: unknown[] } }>().spec.groups, created.json<{ spec: { groups: unknown[] } }>().spec.groups)
    assert.equal((await ask(port, 'PATCH', '/v1/env/demo', { headers: { ...json, 'if-match': tag }, body: { spec: { lifetimeSeconds: 60 } } })).json<{ error: { code: string } }>().error.code, 'conflict')
    assert.equal((await ask(port, 'PATCH', '/v1/env/demo', { headers: json, body: { spec: { lifetimeSeconds: null } } })).json<{ spec: { lifetimeSeconds?: number } }>().spec.lifetimeSeconds, 3600, 'null takes it out, and the default comes back')
    assert.equal((await ask(port, 'PATCH', '/v1/env/demo', { headers: json, body: { spec: { color: 'red' } } })).status, 400)
    assert.equal((await ask(port, 'PATCH', '/v1/env/demo', { headers: json, body: { name: 'other' } })).status, 400)
    assert.equal((await ask(port, 'PATCH', '/v1/env/nope', { headers: json, body: { spec: {} } })).status, 404)

    const { items, missing } = (await ask(port, 'GET', '/v1/env')).json<{ items: { name: string }[]; missing: unknown[] }>()
    assert.deepEqual([items.map(({ name }) => name), missing], [['demo'], []])
    const vms = (await ask(port, 'GET', '/v1/env/demo/vm')).json<{ items: { name: string }[] }>()
    assert.deepEqual(vms.items.map(({ name }) => name), ['demo.0', 'demo.1'])
    assert.equal((await ask(port, 'GET', '/v1/env/nope/vm')).status, 404)
    assert.equal((await ask(port, 'GET', '/v1/env/demo/vm/1')).json().name, 'demo.1')
    assert.equal((await ask(port, 'GET', '/v1/vm/demo.1')).json().name, 'demo.1')
    assert.equal((await ask(port, 'GET', '/v1/env/demo/vm/7')).status, 404)
    for (const path of ['/v1/image/sample:github.com/some/one', '/v1/image/sample%3Agithub.com%2Fsome%2Fone']) assert.equal((await ask(port, 'GET', path)).json().name, 'sample:github.com/some/one')

    assert.equal((await ask(port, 'DELETE', '/v1/env/demo?wait=5')).status, 204)
    assert.equal((await ask(port, 'DELETE', '/v1/env/demo')).status, 404)
  })

  it('waits for an ENV to settle, as long as it is told', async () => {
    const cloud = sampleCloud({ patient: true })
    await using served = await sampleServer({ cloud })
    const { port } = served
    const late = (await ask(port, 'PUT', '/v1/env/demo?wait=1', { headers: json, body: { spec } })).json<{ status: { phase: string } }>()
    assert.equal(late.status.phase, 'creating', 'the time was over')
    assert.equal((await ask(port, 'GET', '/v1/env/demo?wait=0')).json<{ status: { phase: string } }>().status.phase, 'creating')
    const waiting = ask(port, 'GET', '/v1/env/demo?wait=60')
    const put = ask(port, 'PUT', '/v1/env/demo?wait=60', { headers: json, body: { spec } })
    while (cloud.watches.size < 2) await new Promise((resolve) => setTimeout(resolve, 5))
    cloud.settle('demo')
    for (const answer of await Promise.all([waiting, put])) assert.equal(answer.json<{ status: { phase: string } }>().status.phase, 'ready')
    const going = await ask(port, 'DELETE', '/v1/env/demo?wait=1')
    assert.deepEqual([going.status, going.json<{ status: { phase: string } }>().status.phase], [202, 'removing'])
    const gone = Promise.all([ask(port, 'DELETE', '/v1/env/demo?wait=60'), ask(port, 'GET', '/v1/env/demo?wait=60')])
    while (cloud.watches.size < 2) await new Promise((resolve) => setTimeout(resolve, 5))
    cloud.settle('demo')
    assert.deepEqual((await gone).map(({ status }) => status), [204, 404])
    assert.equal(cloud.watches.size, 0)
  })

  it('[F01] runs commands, one frame per line', async () => {
    await using served = await withDemo()
    const { port } = served
    const run = async (body: object) => {
      const { status, text, headers } = await ask(port, 'POST', '/v1/env/demo/run', { headers: json, body })
      assert.deepEqual([status, headers['content-type']], [200, 'application/x-ndjson'])
      return text.split('\n').filter(Boolean).map((line) => JSON.parse(line) as Record<string, unknown>)
    }
    assert.deepEqual(await run({ shell: 'echo a  b', indices: [1] }), [
      { type: 'begin', vm: 'demo.1', image: 'sample:micro', address: '127.0.0.1' },
      { type: 'stdout', vm: 'demo.1', text: 'a  b\n' },
      { type: 'exit', vm: 'demo.1', code: 0 },
    ])
    assert.deepEqual((await run({ argv: ['exit', '3'] })).filter(({ type }) => type === 'exit').map(({ code }) => code), [3, 3])
    assert.deepEqual((await run({ argv: ['cat'], stdin: 'für dich\n', indices: [0] }))[1], { type: 'stdout', vm: 'demo.0', text: 'für dich\n' })
    assert.deepEqual((await run({ argv: ['cat'], stdin: { base64: '/w==' }, indices: [0] }))[1], { type: 'stdout', vm: 'demo.0', base64: '/w==' })
    assert.deepEqual((await run({ argv: ['env', 'COLOR'], env: { COLOR: 'red' }, indices: [0] }))[1]?.text, 'red\n')
    assert.deepEqual((await run({ argv: ['env', 'cwd'], cwd: '/tmp', indices: [0] }))[1]?.text, '/tmp\n')
    const big = await run({ argv: ['cat'], stdin: 'x'.repeat(3_000_000), indices: [0] })
    assert.equal(big.reduce((sum, { text }) => sum + String(text ?? '').length, 0), 3_000_000)
    assert.deepEqual((await run({ argv: ['fault'] })).at(-1), { error: { code: 'failed', message: 'the session broke', subject: 'session', remedy: 'try again' } })
    for (const bad of [{}, { shell: 'x', argv: ['x'] }, { shell: '' }, { argv: [] }, { argv: ['a\0b'] }, { shell: 'x', env: { 'a=b': 'c' } }, { shell: 'x', timeoutMs: 0 }, { shell: 'x', more: 1 }, { shell: 'x', stdin: { base64: '*' } }]) {
      assert.equal((await ask(port, 'POST', '/v1/env/demo/run', { headers: json, body: bad })).status, 400, JSON.stringify(bad))
    }
    assert.equal((await ask(port, 'POST', '/v1/env/nope/run', { headers: json, body: { shell: 'x' } })).status, 404)
    assert.equal((await ask(port, 'POST', '/v1/env/demo/run', { headers: json, body: { shell: 'x', indices: [9] } })).json<{ error: { subject: string } }>().error.subject, 'env/demo')
  })

  it('opens sessions without input, and says which need a WebSocket', async () => {
    await using served = await withDemo()
    const { port } = served
    const open = (body: object) => ask(port, 'POST', '/v1/session', { headers: json, body })
    assert.match((await open({ type: 'doctor' })).text, /^\{"type":"leak",/)
    assert.match((await open({ type: 'build', image: 'micro' })).text, /^\{"type":"built",/)
    assert.match((await open({ type: 'logs', vms: { envs: ['demo'] } })).text, /demo\.1 says hello/)
    for (const request of [{ type: 'console', vms: { envs: ['demo'] } }, { type: 'exec', vms: { envs: ['demo'] }, command: { argv: ['cat'] }, stdin: true }]) {
      const { status, json: body } = await open(request)
      assert.deepEqual([status, body<{ error: { code: string } }>().error.code], [400, 'invalid'])
    }
    for (const bad of [{}, { type: 'reboot' }, { type: 'exec' }, { type: 'exec', vms: { envs: [] }, command: { argv: ['x'] } }, { type: 'build' }, { type: 'doctor', more: 1 }]) assert.equal((await open(bad)).status, 400, JSON.stringify(bad))
    assert.equal((await ask(port, 'GET', '/v1/session')).status, 400)
  })

  it('[F18] shows the serial line as it is', async () => {
    await using served = await withDemo()
    const { port } = served
    const { status, headers, text } = await ask(port, 'GET', '/v1/env/demo/vm/1/logs')
    assert.deepEqual([status, headers['content-type'], text], [200, 'text/plain; charset=utf-8', 'demo.1 says hello\n'])
    assert.equal((await ask(port, 'GET', '/v1/env/demo/vm/9/logs')).status, 404)
    assert.equal((await ask(port, 'GET', '/v1/env/demo/vm/1/logs?follow=2')).status, 400)
  })

  it('offers HEAD and OPTIONS, and says what it does not offer', async () => {
    await using served = await withDemo()
    const { port, cloud } = served
    for (const path of ['/ping', '/v1', '/v1/env', '/v1/env/demo', '/v1/env/demo/vm/0/logs', '/v1/env/demo/vm/0/logs?follow=1']) {
      const { status, text } = await ask(port, 'HEAD', path)
      assert.deepEqual([status, text], [200, ''], path)
    }
    const watch = await ask(port, 'HEAD', '/v1/env', { headers: { accept: 'text/event-stream' } })
    assert.deepEqual([watch.status, watch.headers['content-type']], [200, 'text/event-stream'])
    const sample = cloud as ReturnType<typeof sampleCloud>
    assert.deepEqual([sample.watches.size, sample.sessions.size], [0, 0])
    const options = await ask(port, 'OPTIONS', '/v1/env/demo')
    assert.deepEqual([options.status, options.headers.allow], [204, 'GET, PUT, PATCH, DELETE, HEAD, OPTIONS'])
    assert.equal(options.headers['access-control-allow-origin'], undefined)
    for (const [method, path, subject] of [['POST', '/v1/env/demo', 'env/demo'], ['PUT', '/v1/host/here', 'host/here'], ['DELETE', '/v1/vm/demo.0', 'vm/demo.0'], ['PATCH', '/v1/image/a%2Fb', 'image/a/b'], ['DELETE', '/v1', '/v1'], ['PROPFIND', '/v1/env', 'env/']] as const) {
      const { status, headers, json: body } = await ask(port, method, path)
      assert.equal(status, 405, `${method} ${path}`)
      assert.match(headers.allow ?? '', /GET/)
      assert.deepEqual([body<{ error: { code: string } }>().error.code, body<{ error: { subject: string } }>().error.subject], ['unsupported', subject])
    }
  })

  it('gives every answer an id, keeps a harmless one of the caller, and logs it', async () => {
    const lines: string[] = []
    await using served = await sampleServer({ log: jsonLog((line) => lines.push(line), Date.now, 'debug') })
    const { port } = served
    const one = (await ask(port, 'GET', '/v1?secret=1', { headers: { 'x-request-id': 'mine-1.2' } })).headers['x-request-id']
    assert.equal(one, 'mine-1.2')
    const two = (await ask(port, 'DELETE', '/v1/env/x', { headers: { 'x-request-id': 'a b"; drop' } })).headers['x-request-id']?.toString() ?? ''
    assert.match(two, /^[\w-]+$/)
    const logged = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
    assert.deepEqual(logged.map(({ request, method, path, status, user, level }) => [request, method, path, status, user, level]), [
      ['mine-1.2', 'GET', '/v1', 400, 'ann', 'debug'],
      [two, 'DELETE', '/v1/env/x', 404, 'ann', 'info'],
    ])
    assert.ok(!lines.join('').includes('sample-token'))
  })

  it('tells a caller no more of its own faults than where to look', async () => {
    const lines: string[] = []
    const broken = { ...sampleCloud(), about: () => Promise.reject(new RangeError('at /secret/path')) }
    await using served = await sampleServer({ cloud: broken, log: jsonLog((line) => lines.push(line), Date.now, 'error') })
    const { status, text, headers } = await ask(served.port, 'GET', '/v1')
    assert.equal(status, 500)
    assert.ok(!text.includes('secret') && !text.includes('at '), text)
    assert.match(text, new RegExp(String(headers['x-request-id'])))
    assert.match(lines.join(''), /RangeError: at \/secret\/path\\n +at /)
  })

  it('passes on every code with its status', async () => {
    for (const [code, status] of [['denied', 403], ['exhausted', 409], ['too_large', 413], ['unsupported', 422], ['unavailable', 503], ['timeout', 504]] as const) {
      const refusing = { ...sampleCloud(), about: () => Promise.reject(new TtError({ code, message: 'because', subject: 'env/x', remedy: 'do this' })) }
      await using served = await sampleServer({ cloud: refusing })
      const answer = await ask(served.port, 'GET', '/v1')
      assert.deepEqual([answer.status, answer.json()], [status, { error: { code, message: 'because', subject: 'env/x', remedy: 'do this' } }])
      await assert.rejects(served.remote.about(), { code, message: 'because', subject: 'env/x', remedy: 'do this' })
    }
  })

  it('knows one user from another', async () => {
    await using served = await sampleServer({ cloudFor: (user) => sampleCloud({ user: user.name }) })
    assert.equal((await ask(served.port, 'GET', '/v1')).json().user, 'ann')
  })

  it('refuses to listen where it cannot, in words', async () => {
    await using first = await sampleServer()
    const { apiServer } = await import('./server.ts')
    const { realWorld } = await import('../base/world.ts')
    const { silentLog } = await import('../base/log.ts')
    await using second = apiServer({ cloudFor: () => first.cloud, authenticate: () => undefined, world: realWorld, log: silentLog })
    await assert.rejects(second.listen('127.0.0.1', first.port), { code: 'unavailable', message: `cannot listen on 127.0.0.1 port ${first.port}: another program listens there` })
    await assert.rejects(second.listen('203.0.113.1', 0), { code: 'unavailable' })
    await second.listen('::1', 0)
    assert.equal(second.address?.host, '::1')
  })
})
