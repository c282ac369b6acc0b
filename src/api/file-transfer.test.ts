import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { sha256 } from '../base/sha256.ts'
import type { Cloud } from '../model/cloud.ts'
import type { SessionFrame } from '../model/session.ts'
import { sampleCloud } from './sample-cloud.ts'
import { ask, raw } from './sample-requests.ts'
import { sampleServer, sampleToken } from './sample-server.ts'


async function ground(around: (cloud: Cloud) => Cloud = (cloud) => cloud) {
  const cloud = sampleCloud()
  await cloud.collection('env').put('demo', { spec: { groups: [{ image: 'sample:micro', count: 2 }], lifetimeSeconds: 3600 } })
  const server = await sampleServer({ cloud: around(cloud) })
  const file = (query: Record<string, string>) => `/v1/env/demo/vm/1/file?${new URLSearchParams(query).toString()}`
  return { ...server, sessions: cloud.sessions, file, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

describe('[F11 F12] files over plain HTTP', () => {
  it('go in by PUT and come by GET, bytes and length', async () => {
    await using at = await ground()
    const text = 'ä\0b\r\n'.repeat(50_000)
    const put = await ask(at.port, 'PUT', at.file({ path: '/tmp/f', sha256: sha256(text), mode: '600' }), { headers: { 'content-length': String(Buffer.byteLength(text)) }, body: text })
    assert.deepEqual([put.status, put.json()], [200, { vm: 'demo.1', path: '/tmp/f', sizeBytes: Buffer.byteLength(text), sha256: sha256(text), mode: '600' }], 'the mode is said as it was given')
    const got = await ask(at.port, 'GET', at.file({ path: '/tmp/f' }))
    assert.deepEqual([got.status, got.headers['content-length'], got.headers['content-type']], [200, String(Buffer.byteLength(text)), 'application/octet-stream'])
    assert.equal(got.text, text)
    const head = await ask(at.port, 'HEAD', at.file({ path: '/tmp/f' }))
    assert.deepEqual([head.status, head.headers['content-length'], head.text], [200, String(Buffer.byteLength(text)), ''])
    assert.equal((await ask(at.port, 'GET', at.file({ path: '/tmp/f' }).replace('/vm/1/', '/vm/0/'))).status, 404, 'the other VM has none')
    assert.equal(at.sessions.size, 0)
  })

  it('an empty file too', async () => {
    await using at = await ground()
    const put = await ask(at.port, 'PUT', at.file({ path: '/tmp/f', sha256: sha256('') }), { headers: { 'content-length': '0' } })
    assert.deepEqual([put.status, put.json()], [200, { vm: 'demo.1', path: '/tmp/f', sizeBytes: 0, sha256: sha256(''), mode: '644' }])
    const got = await ask(at.port, 'GET', at.file({ path: '/tmp/f' }))
    assert.deepEqual([got.status, got.text], [200, ''])
  })

  it('are refused where something is missing or in the way, with what to do', async () => {
    await using at = await ground()
    const length = { 'content-length': '1' }
    const right = { path: '/tmp/f', sha256: sha256('x') }
    assert.equal((await ask(at.port, 'PUT', at.file(right), { headers: length, body: 'x' })).status, 200)
    const cases: [string, Record<string, string>, Record<string, string>, string, number, RegExp][] = [
      ['PUT', { path: '/tmp/g' }, length, 'x', 400, /sha256/],
      ['PUT', { path: 'tmp/g', sha256: sha256('x') }, length, 'x', 400, /absolute path/],
      ['PUT', { ...right, mode: '9' }, length, 'x', 400, /mode/],
      ['PUT', right, { 'transfer-encoding': 'chunked' }, 'x', 400, /Content-Length/],
      ['PUT', right, { ...length, 'content-encoding': 'gzip' }, 'x', 400, /compressed/],
      ['PUT', { ...right, sha256: sha256('y') }, length, 'x', 409, /is there/],
      ['PUT', { ...right, path: '/tmp/h', sha256: sha256('y') }, length, 'x', 500, /bytes are others/],
      ['GET', { path: '/tmp/none' }, {}, '', 404, /there is no/],
      ['GET', {}, {}, '', 400, /the query's \\"path\\" is missing/],
      ['PUT', { sha256: sha256('x') }, length, 'x', 400, /the query's \\"path\\" is missing/],
    ]
    for (const [method, query, headers, body, status, says] of cases) {
      const answer = await ask(at.port, method, at.file(query), { headers, ...(body === '' ? {} : { body }) })
      assert.equal(answer.status, status, answer.text)
      assert.match(answer.text, says)
    }
    assert.equal((await ask(at.port, 'PUT', at.file({ ...right, sha256: sha256('y'), overwrite: '1' }), { headers: length, body: 'y' })).status, 200)
    assert.equal(at.sessions.size, 0)
  })

  it('a body that breaks off is no file, and ends its session', async () => {
    await using at = await ground()
    const head = `PUT ${at.file({ path: '/tmp/f', sha256: sha256('xx') })} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${sampleToken}\r\ncontent-length: 2\r\n\r\nx`
    await raw(at.port, head, { half: true })
    await new Promise((resolve) => setTimeout(resolve, 50))
    assert.equal((await ask(at.port, 'GET', at.file({ path: '/tmp/f' }))).status, 404)
    assert.equal(at.sessions.size, 0)
  })

  it('what is not as the guest has read it never arrives whole', async () => {
    const entry = { path: '', type: 'file' as const, mode: 0o644, sizeBytes: 6 }
    const played = (frames: SessionFrame[]) => (cloud: Cloud): Cloud => ({
      ...cloud,
      open: async () => ({ output: ReadableStream.from(frames), input: new WritableStream(), [Symbol.asyncDispose]: async () => undefined }),
    })
    const data = (text: string): SessionFrame => ({ type: 'stdout', vm: 'demo.1', data: new TextEncoder().encode(text) })
    const begin: SessionFrame[] = [{ type: 'begin', vm: 'demo.1', image: 'x' }, { type: 'entry', vm: 'demo.1', entry }]
    const end = (sha: string): SessionFrame => ({ type: 'entry-end', vm: 'demo.1', sha256: sha })
    const bad: SessionFrame[][] = [
      [...begin, data('abc'), data('def'), end(sha256('other'))],
      [...begin, data('abc'), end(sha256('abc'))],
      [...begin, data('abc'), data('defg'), end(sha256('abcdefg'))],
      [...begin, data('abc'), data('def')],
    ]
    for (const frames of bad) {
      await using at = await ground(played(frames))
      const outcome = await ask(at.port, 'GET', at.file({ path: '/tmp/f' })).then(
        ({ text }) => text,
        () => 'cut',
      )
      assert.equal(outcome, 'cut')
    }
    await using good = await ground(played([...begin, data('abc'), data('def'), end(sha256('abcdef'))]))
    assert.equal((await ask(good.port, 'GET', good.file({ path: '/tmp/f' }))).text, 'abcdef')
    await using directory = await ground(played([{ type: 'begin', vm: 'demo.1', image: 'x' }, { type: 'entry', vm: 'demo.1', entry: { path: '', type: 'directory', mode: 0o755 } }]))
    const refused = await ask(directory.port, 'GET', directory.file({ path: '/tmp' }))
    assert.deepEqual([refused.status, /tt env get/.test(refused.text)], [400, true])
  })
})
