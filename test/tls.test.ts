import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { connect as secureConnect, createServer as secureServer } from 'node:tls'
import { httpCloud } from '../src/api/client.ts'
import { nodeTransport } from '../src/api/node-transport.ts'
import { sampleCloud } from '../src/api/sample-cloud.ts'
import { raw } from '../src/api/sample-requests.ts'
import { apiServer } from '../src/api/server.ts'
import { silentLog } from '../src/base/log.ts'
import { realWorld as world } from '../src/base/world.ts'
import { type Certificate, ownCertificate } from '../src/bin/certificates.ts'
import type { Cloud } from '../src/model/cloud.ts'
import { TtError } from '../src/model/errors.ts'
import type { SessionRequest } from '../src/model/session.ts'

const token = 'a-token-of-a-test'
const joining: SessionRequest = { type: 'exec', stdin: true, vms: { envs: ['demo'] }, command: { argv: ['cat'] } }
const exec: SessionRequest = { type: 'exec', vms: { envs: ['demo'] }, command: { shell: 'echo hello' } }

function certificate(): Certificate {
  const dir = mkdtempSync(join(tmpdir(), 'tt-tls-'))
  try {
    return ownCertificate(dir, { addresses: ['127.0.0.1'], world })
  } finally {
    rmSync(dir, { recursive: true })
  }
}

/** A server of the sample cloud, by TLS unless `tls` says otherwise, and clients of it. */
async function served(identity: Certificate | 'none' = certificate()) {
  const tls = identity === 'none' ? undefined : identity
  const cloud = sampleCloud()
  await cloud.collection('env').put('demo', { spec: { groups: [{ image: 'sample:micro', count: 1 }], lifetimeSeconds: null } })
  await using stack = new AsyncDisposableStack()
  const server = stack.use(apiServer({ cloudFor: () => cloud, authenticate: (given) => (given === token ? { user: { name: 'ann', role: 'admin' } } : undefined), world, log: silentLog, tls, drainMs: 200 }))
  await server.listen('127.0.0.1', 0)
  const port = server.address?.port ?? 0
  const kept = stack.move()
  const at = (url: string, fingerprint?: string): Cloud => httpCloud(url, { token, world, ...kept.use(nodeTransport({ fingerprint })) })
  return { server, cloud, port, fingerprint: tls?.fingerprint ?? '', at, url: `https://127.0.0.1:${port}`, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

const refusal = async (asked: Promise<unknown>): Promise<TtError> => asked.then(() => assert.fail('it was not refused'), (thrown: unknown) => (thrown instanceof TtError ? thrown : assert.fail(String(thrown))))

async function output(cloud: Cloud, request: SessionRequest, input?: string): Promise<string> {
  const session = await cloud.open(request)
  if (input !== undefined) {
    const writer = session.input.getWriter()
    await writer.write({ type: 'stdin', data: Buffer.from(input) })
    await writer.write({ type: 'eof' })
  }
  let text = ''
  for await (const frame of session.output) if (frame.type === 'stdout') text += Buffer.from(frame.data).toString()
  await session[Symbol.asyncDispose]()
  return text
}

describe('a server with TLS', () => {
  it('J03: is asked everything over it, sessions over WebSockets too, by whoever knows its key', async () => {
    await using one = await served()
    const cloud = one.at(one.url, one.fingerprint)
    assert.equal((await cloud.about()).version, '0.0.0')
    assert.deepEqual((await cloud.collection('env').list()).items.map(({ name }) => name), ['demo'])
    assert.equal(await output(cloud, exec), 'hello\n')
    assert.equal(await output(cloud, joining, 'typed'), 'typed')
    await assert.rejects(cloud.collection('env').get('none'), { code: 'not_found', subject: 'env/none' })
    const many = await Promise.all(Array.from({ length: 50 }, () => cloud.about()))
    assert.equal(many.length, 50)
  })

  it('J03: speaks TLS 1.2 and 1.3 and nothing older', async () => {
    await using one = await served()
    const spoken = (version: 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3') =>
      new Promise<string>((resolve) => {
        const socket = secureConnect({ host: '127.0.0.1', port: one.port, rejectUnauthorized: false, minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' })
        socket.once('secureConnect', () => resolve(String(socket.getProtocol()))).once('error', (fault: NodeJS.ErrnoException) => resolve(fault.code ?? '')).once('close', () => socket.destroy())
        socket.once('secureConnect', () => socket.destroy())
      })
    assert.deepEqual([await spoken('TLSv1.2'), await spoken('TLSv1.3'), await spoken('TLSv1.1')], ['TLSv1.2', 'TLSv1.3', 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION'])
  })

  it('J03: tells whoever speaks HTTP to it what it speaks, and stays up', async () => {
    await using one = await served()
    const refused = await refusal(one.at(`http://127.0.0.1:${one.port}`).about())
    assert.deepEqual([refused.code, refused.message, refused.remedy], ['invalid', 'this server speaks TLS only', 'use https://'])
    assert.match(await raw(one.port, 'GET / HTTP/1.1\r\nhost: x\r\n\r\n'), /^HTTP\/1\.1 400 Bad Request\r\n.*\{"error":\{"code":"invalid"/s)
    for (const bytes of ['\r\n\r\n', 'SSH-2.0-x\r\n', '\x16\x03\x01\x02\x00\x01', '\0'.repeat(5000)]) await raw(one.port, Buffer.from(bytes, 'latin1'), { half: true })
    assert.equal((await one.at(one.url, one.fingerprint).about()).version, '0.0.0')
  })

  it('shows another certificate when it is given one, and pins of the key hold', async () => {
    await using one = await served()
    const cloud = one.at(one.url, one.fingerprint)
    await cloud.about()
    one.server.secure(certificate())
    assert.equal((await cloud.about()).version, '0.0.0', 'the connection that was open')
    assert.equal((await refusal(one.at(one.url, one.fingerprint).about())).code, 'denied')
  })

  it('stops in time, with connections that are silent before or after their handshake', async () => {
    const one = await served()
    const [silent, secured] = [connect(one.port, '127.0.0.1'), secureConnect({ host: '127.0.0.1', port: one.port, rejectUnauthorized: false })]
    await Promise.all([new Promise((resolve) => silent.once('connect', resolve)), new Promise((resolve) => secured.once('secureConnect', resolve))])
    const gone = Promise.all([silent, secured].map((socket) => new Promise((resolve) => socket.on('error', () => undefined).once('close', resolve))))
    const watching = one.at(one.url, one.fingerprint).collection('env').watch()[Symbol.asyncIterator]()
    await watching.next()
    const began = Date.now()
    await one[Symbol.asyncDispose]()
    await gone
    assert.ok(Date.now() - began < 2000, `${Date.now() - began} ms`)
  })
})

describe('a client of a server with TLS', () => {
  it('J03: sends a server with another key nothing, and shows both keys', async () => {
    const key = certificate()
    let heard = 0
    const impostor = secureServer({ cert: key.cert, key: key.key }, (socket) => socket.on('data', (piece) => (heard += piece.length)).on('error', () => undefined))
    await new Promise<void>((resolve) => impostor.listen(0, '127.0.0.1', resolve))
    const { port } = impostor.address() as { port: number }
    const pinned = certificate().fingerprint
    using transport = nodeTransport({ fingerprint: pinned })
    const cloud = httpCloud(`https://127.0.0.1:${port}`, { token, world, ...transport })
    for (const asked of [() => cloud.about(), () => cloud.collection('env').put('x', { spec: { groups: [{ image: 'x' }] } }), () => cloud.open(exec), () => cloud.open(joining), () => cloud.collection('env').watch()[Symbol.asyncIterator]().next()]) {
      const { code, message, remedy } = await refusal(asked())
      assert.deepEqual([code, message.includes(pinned), message.includes(key.fingerprint)], ['denied', true, true])
      assert.match(remedy ?? '', /tt config .*--fingerprint/)
    }
    using unpinned = nodeTransport()
    const unknown = await refusal(httpCloud(`https://127.0.0.1:${port}`, { token, world, ...unpinned }).about())
    assert.deepEqual([unknown.code, unknown.message.includes(key.fingerprint)], ['denied', true])
    await new Promise((resolve) => setTimeout(resolve, 50))
    assert.equal(heard, 0, 'bytes went out')
    impostor.close()
  })

  it('J03: says when a server speaks no TLS', async () => {
    await using plain = await served('none')
    for (const ask of [(cloud: Cloud) => cloud.about(), (cloud: Cloud) => cloud.open(joining)]) assert.match((await refusal(ask(plain.at(plain.url)))).message, /this server speaks no TLS: use http:\/\/ or start it with --tls own/)
  })

  it('A10: does not wait longer for a handshake than for an answer', { timeout: 20_000 }, async () => {
    const sockets = new Set<Socket>()
    const silent = createServer((socket) => void sockets.add(socket))
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const { port } = silent.address() as { port: number }
    for (const open of [false, true]) {
      using transport = nodeTransport({ fingerprint: certificate().fingerprint })
      const cloud = httpCloud(`https://127.0.0.1:${port}`, { token, world, firstByteMs: 300, ...transport })
      const began = Date.now()
      const { code } = await refusal(open ? cloud.open(joining) : cloud.about())
      assert.equal(code, 'timeout')
      assert.ok(Date.now() - began < 2000)
    }
    sockets.forEach((socket) => socket.destroy())
    silent.close()
  })
})
