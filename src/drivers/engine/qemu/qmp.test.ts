import assert from 'node:assert/strict'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { realWorld, type World } from '../../../base/world.ts'
import { qmp, type QmpEvent } from './qmp.ts'

const greeting = '{"QMP": {"version": {"qemu": {"major": 7}}, "capabilities": ["oob"]}}\r\n'

/** QEMU's end of a line: what it is asked, and what it sends. `answers` are given to the commands in turn. */
function wire() {
  const asked: { execute: string; id: number; arguments?: object }[] = []
  let onAsked: ((command: (typeof asked)[0]) => void) | undefined
  const stream: Duplex = new Duplex({
    read: () => undefined,
    write(bytes: Buffer, _encoding, done) {
      for (const line of bytes.toString().split('\n').filter(Boolean)) {
        const command = JSON.parse(line) as (typeof asked)[0]
        asked.push(command)
        onAsked?.(command)
      }
      done()
    },
  })
  const send = (text: string | Buffer) => stream.push(text)
  const reply = (id: number, value: unknown) => send(`${JSON.stringify({ return: value, id })}\r\n`)
  return { stream, asked, send, reply, on: (handler: (command: (typeof asked)[0]) => void) => (onAsked = handler) }
}

async function connected(world: World = realWorld) {
  const line = wire()
  const events: QmpEvent[] = []
  line.on(({ execute, id }) => execute === 'qmp_capabilities' && line.reply(id, {}))
  line.send(greeting)
  const client = await qmp(line.stream, { world, onEvent: (event) => events.push(event) })
  return { ...line, client, events }
}

/** Time stands still until it is told to pass. */
function stoppedWorld(): World & { pass(): void } {
  const due: (() => void)[] = []
  return { ...realWorld, after: (_ms, run) => (due.push(run), () => undefined), pass: () => due.splice(0).forEach((run) => run()) }
}

test('it enters command mode after the greeting', async () => {
  const { asked } = await connected()
  assert.deepEqual(asked.map(({ execute }) => execute), ['qmp_capabilities'])
})

test('answers find their commands in any order, between events, in any pieces', async () => {
  const { client, asked, send, events } = await connected()
  const first = client.execute('query-status')
  const second = client.execute('query-block', { flat: true })
  assert.deepEqual(asked[2]?.arguments, { flat: true })
  const text =
    `{"event": "STOP", "data": {}, "timestamp": {"seconds": 1, "microseconds": 2}}\r\n` +
    `{"return": "of the second, with a line end \\n and ü", "id": ${asked[2]?.id}}\r\n\r\n` +
    `{"event": "RESUME"}\n{"return": "of nobody", "id": 999}\n` +
    `{"return": {"running": true}, "id": ${asked[1]?.id}}\r\n`
  for (const byte of Buffer.from(text)) send(Buffer.of(byte))
  assert.deepEqual(await first, { running: true })
  assert.equal(await second, 'of the second, with a line end \n and ü')
  assert.deepEqual(events, [{ event: 'STOP', data: {} }, { event: 'RESUME', data: {} }])
})

test('what QEMU refuses is failed, in its words', async () => {
  const { client, asked, send } = await connected()
  const wrong = client.execute('frobnicate')
  send(`{"id": ${asked[1]?.id}, "error": {"class": "CommandNotFound", "desc": "The command frobnicate has not been found"}}\n`)
  await assert.rejects(wrong, { code: 'failed', message: /frobnicate has not been found/ })
})

test('a line that breaks fails what waits and all that comes after', async () => {
  const { client, stream } = await connected()
  const waiting = client.execute('query-status')
  stream.destroy()
  await assert.rejects(waiting, { code: 'unavailable' })
  await client.closed
  await assert.rejects(client.execute('query-status'), { code: 'unavailable' })
})

test('no answer in time is a timeout, and the late answer harms nobody', async () => {
  const world = stoppedWorld()
  const { client, asked, reply } = await connected(world)
  const slow = client.execute('query-status')
  world.pass()
  await assert.rejects(slow, { code: 'timeout', message: /query-status.*5000 ms/ })
  reply(asked[1]?.id ?? 0, 'late')
  const next = client.execute('query-name')
  reply(asked[2]?.id ?? 0, 'in time')
  assert.equal(await next, 'in time')
})

test('a call that is given up rejects with its reason', async () => {
  const { client } = await connected()
  await assert.rejects(client.execute('stop', undefined, { signal: AbortSignal.abort(new Error('enough')) }), /enough/)
})

test('one that does not greet, or answers nonsense, is hung up on', async () => {
  const silent = wire()
  const world = stoppedWorld()
  const waits = qmp(silent.stream, { world, onEvent: () => undefined })
  world.pass()
  await assert.rejects(waits, { code: 'timeout' })
  assert(silent.stream.destroyed)
  for (const nonsense of ['hello\n', '[1]\n', 'null\n', `{"a": "${'x'.repeat(1 << 20)}"}\n`, 'x'.repeat(3 << 20)]) {
    const { client, send, stream } = await connected()
    const waiting = client.execute('query-status')
    send(nonsense)
    await assert.rejects(waiting, { code: 'unavailable' })
    assert(stream.destroyed)
  }
})

test('any bytes at all neither throw nor stay', async () => {
  // A small generator with a fixed seed: the same bytes every time.
  let seed = 12_345
  const random = (below: number) => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) % below
  const pieces = ['{', '}', '"QMP"', ':', '{}', '\n', '\r\n', '"event"', '"id"', '1', 'null', '[', ']', '\u0000', '"return"', ',', '\\', 'ÿ']
  for (let round = 0; round < 300; round++) {
    const { client, send, stream } = await connected()
    const waiting = client.execute('query-status').catch(() => undefined)
    for (let count = random(40); count > 0 && !stream.destroyed; count--) send(pieces[random(pieces.length)] ?? '')
    stream.destroy()
    await waiting
  }
})
