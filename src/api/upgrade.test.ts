import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { WebSocket } from 'ws'
import { manualWorld } from '../base/manual-world.ts'
import { realWorld } from '../base/world.ts'
import type { Cloud } from '../model/cloud.ts'
import { tokenProtocolOf } from './protocol.ts'
import { type SampleCloud, sampleCloud } from './sample-cloud.ts'
import { raw } from './sample-requests.ts'
import { sampleServer, sampleToken } from './sample-server.ts'
import { type Message, packed, unpacked } from './sessions.ts'

const spec = { groups: [{ image: 'sample:micro', count: 1, cpu: 1, memMb: 100, diskMb: 100 }] }
const cat = { type: 'exec', vms: { envs: ['demo'] }, command: { argv: ['cat'] }, stdin: true }
const bearer = { authorization: `Bearer ${sampleToken}` }

async function withDemo(options: Parameters<typeof sampleServer>[0] = {}) {
  const served = await sampleServer(options)
  await served.cloud.collection('env').put('demo', { spec })
  return served
}

/** A WebSocket of a caller that may say anything, and all it hears until the end. */
async function joined(port: number, says: (string | Uint8Array)[]): Promise<{ messages: Message[]; code: number }> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/session`, { headers: bearer })
  const messages: Message[] = []
  socket.on('message', (data: Buffer) => messages.push(unpacked(data)))
  socket.on('open', () => says.forEach((one) => socket.send(one)))
  const code = await new Promise<number>((resolve, reject) => {
    socket.on('close', resolve)
    socket.on('error', reject)
  })
  return { messages, code }
}

const stdin = (text: string) => packed({ type: 'input', input: { type: 'stdin', data: new TextEncoder().encode(text) } })
const eof = packed({ type: 'input', input: { type: 'eof' } })

describe('a session over a WebSocket', () => {
  it('carries input and output and ends by itself', async () => {
    await using served = await withDemo()
    const { messages, code } = await joined(served.port, [JSON.stringify(cat), stdin('a'), stdin('b'), packed({ type: 'input', input: { type: 'size', columns: 80, rows: 24 } }), eof])
    assert.equal(code, 1000)
    assert.deepEqual(messages.map(({ type }) => type), ['opened', 'frame', 'frame', 'frame', 'frame', 'frame', 'ended'])
    const text = messages.flatMap((message) => (message.type === 'frame' && message.frame.type === 'stdout' ? [Buffer.from(message.frame.data).toString()] : []))
    assert.deepEqual(text, ['a', 'b', '80x24\n'])
    assert.equal((served.cloud as SampleCloud).sessions.size, 0)
  })

  it('takes the token from a protocol too, as browsers must', async () => {
    await using served = await withDemo()
    const socket = new WebSocket(`ws://127.0.0.1:${served.port}/v1/session`, tokenProtocolOf(sampleToken))
    await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject))
    assert.equal(socket.protocol, 'tt.v1')
    socket.close()
    await new Promise((resolve) => socket.on('close', resolve))
  })

  it('is refused with the reason', async () => {
    await using served = await withDemo()
    const refusal = (path: string, headers: Record<string, string>, protocols: string[] = []) =>
      new Promise<string>((resolve, reject) => {
        const socket = new WebSocket(`ws://127.0.0.1:${served.port}${path}`, protocols, { headers })
        socket.on('open', () => reject(new Error('it opened')))
        socket.on('error', () => undefined)
        socket.on('unexpected-response', (_request, response) => {
          let text = ''
          response.on('data', (piece) => (text += String(piece)))
          response.on('end', () => resolve(`${response.statusCode} ${(JSON.parse(text) as { error: { code: string } }).error.code}`))
        })
      })
    assert.equal(await refusal('/v1/session', {}), '401 unauthenticated')
    assert.equal(await refusal('/v1/session', { authorization: 'Bearer no' }), '401 unauthenticated')
    assert.equal(await refusal('/v1/session', {}, tokenProtocolOf('no')), '401 unauthenticated')
    assert.equal(await refusal('/v1/nothing', {}), '401 unauthenticated')
    assert.equal(await refusal('/v1/nothing', bearer), '404 not_found')
    const upgrade = (...lines: string[]) => raw(served.port, ['GET /v1/session HTTP/1.1', 'host: x', `authorization: Bearer ${sampleToken}`, 'connection: upgrade', ...lines, '', ''].join('\r\n'))
    assert.match(await upgrade('upgrade: websocket', 'sec-websocket-version: 13', 'sec-websocket-key: short'), /^HTTP\/1\.1 400 /)
    assert.match(await upgrade('upgrade: websocket', 'sec-websocket-version: 7', 'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=='), /^HTTP\/1\.1 (400|426) /)
    assert.match(await upgrade('upgrade: h2c', 'connection: close'), /^HTTP\/1\.1 400 /)
    for (const [request, code] of [[{ ...cat, vms: { envs: ['nope'] } }, 'not_found'], [{ type: 'reboot' }, 'invalid']] as const) {
      const { messages } = await joined(served.port, [JSON.stringify(request)])
      assert.deepEqual(messages.map((message) => (message.type === 'broken' ? message.problem.code : message.type)), [code])
    }
  })

  it('ends at the first nonsense, and says so', async () => {
    await using served = await withDemo()
    const nonsense: (string | Uint8Array)[][] = [
      ['{'],
      ['null'],
      [`${'['.repeat(1000)}`],
      [stdin('a')],
      [JSON.stringify(cat), 'more text'],
      [JSON.stringify(cat), new Uint8Array()],
      [JSON.stringify(cat), Uint8Array.of(99, 0)],
      [JSON.stringify(cat), packed({ type: 'opened' })],
      [JSON.stringify(cat), packed({ type: 'frame', frame: { type: 'exit', vm: 'demo.0', code: 0 } })],
    ]
    for (const says of nonsense) {
      const { messages } = await joined(served.port, says)
      const last = messages.at(-1)
      assert.equal(last?.type === 'broken' && last.problem.code, 'invalid', JSON.stringify(says))
    }
    const { code } = await joined(served.port, ['x'.repeat(2 * 1024 * 1024)])
    assert.equal(code, 1009, 'too large for a message')
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(fc.string(), fc.uint8Array(), fc.constant(JSON.stringify(cat))), { minLength: 1, maxLength: 4 }), async (says) => {
        await joined(served.port, [...says, eof, Uint8Array.of(99, 0)])
      }),
      { numRuns: 40 },
    )
    assert.equal((served.cloud as SampleCloud).sessions.size, 0)
  })

  it('ends for a caller that does not heed the window', async () => {
    const cloud = sampleCloud()
    const deaf: Cloud = {
      ...cloud,
      async open(request, call) {
        const session = await cloud.open(request, call)
        const over = Promise.withResolvers<void>()
        const dispose = () => session[Symbol.asyncDispose]().then(over.resolve)
        return { output: session.output, input: new WritableStream({ write: () => over.promise }), [Symbol.asyncDispose]: dispose }
      },
    }
    await using served = await withDemo({ cloud: deaf })
    const { messages } = await joined(served.port, [JSON.stringify(cat), ...Array.from({ length: 60 }, () => stdin('x'.repeat(60_000)))])
    const last = messages.at(-1)
    assert.equal(last?.type === 'broken' && last.problem.code, 'too_large')
    assert.equal(cloud.sessions.size, 0)
  })

  it('is not held open for a caller that says nothing, or is dead', async () => {
    const world = manualWorld()
    await using served = await withDemo({ world: { ...world, sleep: realWorld.sleep } })
    const silent = joined(served.port, [])
    await new Promise((resolve) => setTimeout(resolve, 50))
    await world.advance(10_001)
    assert.deepEqual((await silent).messages.map((message) => (message.type === 'broken' ? message.problem.code : message.type)), ['timeout'])
    const socket = new WebSocket(`ws://127.0.0.1:${served.port}/v1/session`, { headers: bearer, autoPong: false })
    await new Promise((resolve) => socket.on('open', resolve))
    socket.send(JSON.stringify(cat))
    const { sessions } = served.cloud as SampleCloud
    while (sessions.size === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    await world.advance(30_001)
    assert.equal(sessions.size, 1)
    await world.advance(30_001)
    while (sessions.size > 0) await new Promise((resolve) => setTimeout(resolve, 5))
    socket.terminate()
  })
})
