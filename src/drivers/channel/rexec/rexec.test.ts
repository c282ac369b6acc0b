import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { TtError } from '../../../model/errors.ts'
import { runIn } from '../channel.contract.ts'
import type { Frame } from './frame.ts'
import { answer, ask, execFlag, nonceBytes, windowBytes } from './protocol.ts'
import { awake, channelTo, isReady } from './guest-ground.ts'

const isCode = (code: string, message = /./) => (error: unknown) => error instanceof TtError && error.code === code && message.test(error.message)
const exit = (id: number, code = 0): Frame => ({ type: answer.exit, id, payload: Buffer.of(0, code) })

describe('rexec: reaching a guest', () => {
  it('dials again and again, ever more rarely, and at once when somebody asks', async () => {
    const at: number[] = []
    let now = () => 0
    await using under = await channelTo(() => {
      at.push(now())
      return Promise.reject(new TtError({ code: 'not_ready', message: 'it is off' }))
    })
    now = under.world.now
    await under.world.pass(10_000)
    const pauses = at.slice(1).map((time, n) => time - (at[n] ?? 0))
    assert.deepEqual(pauses.slice(0, 9), [10, 20, 40, 80, 160, 320, 640, 1000, 1000])
    const dialled = at.length
    assert.equal(await isReady(under.channel), false)
    assert.equal(at.length, dialled + 1)
    await under.world.pass(1000)
    assert.ok(at.length >= dialled + 10, 'every 100 ms while somebody waits')
  })
  it('[F14] greets, and is ready when the guest answers its nonce and no other', async () => {
    await using under = await channelTo()
    const guest = await under.guest(0)
    const nonce = await guest.hello()
    guest.challenge(Buffer.alloc(nonceBytes, 7))
    assert.equal(await isReady(under.channel), false)
    guest.stream.write(Buffer.from('what an earlier connection left behind'))
    await guest.greet(nonce)
    assert.equal(await isReady(under.channel), true)
  })
  it('greets again at once when an agent awakes, but not as often as it likes', async () => {
    await using under = await channelTo()
    const guest = await under.guest(0)
    const first = await guest.hello()
    await under.world.pass(500)
    guest.stream.write(awake)
    const second = await guest.hello()
    assert.deepEqual(second, first, 'the agent may have heard the first one after all')
    for (let n = 0; n < 50; n++) guest.stream.write(awake)
    await guest.silence()
    await under.world.pass(20)
    await guest.hello()
    await guest.silence()
    await guest.greet(first)
    assert.equal(await isReady(under.channel), true)
  })
  it('dials anew when nobody answers, with growing patience', async () => {
    await using under = await channelTo()
    await under.world.pass(20_000)
    // 1 + 2 + 4 + 8 s, and a short pause after each.
    assert.equal(under.guests.length, 5)
    assert.deepEqual(under.guests.map((guest) => guest.isClosed()), [true, true, true, true, false])
    await under.guests[4]?.greet()
    assert.equal(await isReady(under.channel), true)
    await under.world.pass(100_000)
    assert.equal(under.guests.length, 5)
  })
  it('dials anew when an agent begins anew, and then says nothing', async () => {
    await using under = await channelTo()
    const guest = await under.guest(0)
    await guest.greet()
    await under.channel.ready()
    guest.stream.write(awake)
    await under.world.pass(30)
    await guest.hello()
    await under.world.pass(1100)
    assert.equal(guest.isClosed(), true)
    assert.equal(under.guests.length, 2)
  })
  it('tells of an agent that speaks another protocol', async () => {
    await using under = await channelTo()
    const ready = assert.rejects(under.channel.ready(), isCode('unsupported', /version 1/))
    const guest = await under.guest(0)
    guest.agree(await guest.hello(), 'protocol=1\nagent=9\n')
    await ready
    await guest.closed()
  })
  it('closes when the guest is gone for good', async () => {
    await using under = await channelTo(() => Promise.reject(new TtError({ code: 'not_found', message: 'there is no vm g' })))
    await assert.rejects(under.channel.exec({ shell: 'true' }, { output: () => undefined }), isCode('unavailable', /there is no vm g/))
    assert.equal(under.channel.closed.aborted, true)
    await under.world.pass(10_000)
    assert.equal(under.world.timers, 0)
  })
  it('stops waiting when the call does', async () => {
    await using under = await channelTo()
    const calls = new AbortController()
    const waits = [under.channel.ready({ signal: calls.signal }), under.channel.ping({ signal: calls.signal }), runIn(under.channel, 'true', {}, calls.signal)]
    const refused = Promise.all(waits.map((wait) => assert.rejects(wait, isCode('cancelled'))))
    calls.abort()
    await refused
  })
})

describe('rexec: what runs', () => {
  it('is lost when the stream breaks or the agent begins anew, and the next command goes through', async () => {
    await using under = await channelTo()
    const nonces = new Set<string>()
    for (const lose of ['break', 'awake', 'awake'] as const) {
      const guest = await under.guest(under.guests.length - 1)
      if (lose === 'break') await guest.greet()
      const running = assert.rejects(runIn(under.channel, 'sleep 9'), isCode('unavailable', /not known/))
      const ping = assert.rejects(under.channel.ping(), isCode('unavailable'))
      await guest.next(ask.ping)
      if (lose === 'break') guest.stream.destroy()
      else guest.stream.write(Buffer.concat([Buffer.from('0400000084', 'hex'), awake]))
      await Promise.all([running, ping])
      await under.world.pass(30)
      const next = await under.guest(under.guests.length - 1)
      assert.equal(next === guest, lose === 'awake')
      const nonce = await next.hello()
      assert.equal(nonces.has(nonce.toString('hex')), false, 'a nonce is used once')
      nonces.add(nonce.toString('hex'))
      await next.greet(nonce)
      const after = runIn(under.channel, 'true')
      next.say(exit((await next.next(ask.exec)).id))
      assert.deepEqual((await after).exit, { code: 0 })
    }
  })
  it('is one write with its EXEC, and says that there is no input', async () => {
    await using under = await channelTo()
    const guest = await under.guest(0)
    await guest.greet()
    await under.channel.ready()
    let chunks = 0
    guest.stream.on('data', () => chunks++)
    const run = runIn(under.channel, { argv: ['true', 'a'] }, { env: { B: 'c' }, cwd: '/d' })
    const { id, payload } = await guest.next(ask.exec)
    assert.equal(chunks, 1)
    assert.equal(payload[0], execFlag.noStdin)
    assert.equal(payload.subarray(9).toString('latin1'), 'a\x04\0\0\0true\0a\x01\0\0\0a\0e\x03\0\0\0B=c\0d\x02\0\0\0/d\0')
    guest.say({ type: answer.stdout, id, payload: Buffer.from('x') }, exit(id, 9))
    assert.deepEqual(await run, { stdout: Buffer.from('x'), stderr: Buffer.alloc(0), exit: { code: 9 } })
  })
  it('sends input only as far as the guest takes it', async () => {
    await using under = await channelTo()
    const guest = await under.guest(0)
    await guest.greet()
    const big = Buffer.alloc(windowBytes + 5000, 1)
    const run = runIn(under.channel, 'cat', {
      stdin: (async function* () {
        yield big
      })(),
    })
    const { id } = await guest.next(ask.exec)
    let got = 0
    while (got < windowBytes) got += (await guest.next(ask.stdin)).payload.length
    assert.equal(got, windowBytes)
    await guest.silence()
    guest.say({ type: answer.taken, id, payload: Buffer.of(0x88, 0x13, 0, 0) })
    while (got < big.length) got += (await guest.next(ask.stdin)).payload.length
    assert.equal(got, big.length)
    await guest.next(ask.eof)
    guest.say(exit(id))
    await run
  })
  it('gives credit back as the reader reads', async () => {
    await using under = await channelTo()
    const guest = await under.guest(0)
    await guest.greet()
    const going: (() => void)[] = []
    const run = under.channel.exec({ shell: 'x' }, { output: () => new Promise<void>((resolve) => going.push(resolve)) })
    const { id } = await guest.next(ask.exec)
    const piece = Buffer.alloc(windowBytes / 16)
    for (let n = 0; n < 16; n++) guest.say({ type: answer.stderr, id, payload: piece })
    for (let read = 1; read <= 16; read++) {
      await guest.silence()
      assert.equal(going.length, read, 'one piece at a time')
      going[read - 1]?.()
      if (read % 4 > 0) continue
      const credit = await guest.next(ask.credit)
      assert.deepEqual([...credit.payload], [answer.stderr, 0, 0, 1, 0])
    }
    guest.say({ type: answer.stderr, id, payload: piece }, exit(id))
    await guest.silence()
    assert.equal(going.length, 17)
    going[16]?.()
    assert.deepEqual(await run, { code: 0 })
  })
  it('that is aborted is waited for, but not for ever', async () => {
    await using under = await channelTo()
    const guest = await under.guest(0)
    await guest.greet()
    for (const answers of [true, false]) {
      const calls = new AbortController()
      let settled = false
      const run = assert.rejects(runIn(under.channel, 'sleep 9', {}, calls.signal), isCode('cancelled')).finally(() => (settled = true))
      const { id } = await guest.next(ask.exec)
      calls.abort()
      await guest.next(ask.kill)
      await under.world.pass(900)
      assert.equal(settled, false)
      if (answers) guest.say({ type: answer.exit, id, payload: Buffer.from('\x01SIGKILL') })
      else await under.world.pass(200)
      await run
    }
    assert.equal(under.world.timers, 0)
  })
})

describe('rexec: a guest that breaks the protocol is disconnected, and its commands fail', () => {
  const out = (id: number, size: number): Frame => ({ type: answer.stdout, id, payload: Buffer.alloc(size) })
  const breaches: Record<string, (id: number) => Frame[]> = {
    'a type of ours': (id) => [{ type: ask.kill, id }],
    'more output than it had credit for': (id) => Array.from({ length: Math.ceil(windowBytes / 30_000) + 1 }, () => out(id, 30_000)),
    'input taken of a command without': (id) => [{ type: answer.taken, id, payload: Buffer.of(1, 0, 0, 0) }],
    'a second end': (id) => [out(id, 1), exit(id), exit(id)],
    'an end of no kind': (id) => [{ type: answer.exit, id, payload: Buffer.of(2, 0) }],
    'a signal of no name': (id) => [{ type: answer.exit, id, payload: Buffer.from('\x01<script>') }],
    'an error of no kind': (id) => [{ type: answer.error, id, payload: Buffer.from('ENOENT \x1b[2J') }],
    'facts again': (id) => [{ type: answer.facts, id }],
    'a pong for a command': (id) => [{ type: answer.pong, id }],
  }
  for (const [name, breach] of Object.entries(breaches)) {
    it(name, async () => {
      await using under = await channelTo()
      const guest = await under.guest(0)
      await guest.greet()
      const never = new Promise<void>(() => undefined)
      const run = assert.rejects(under.channel.exec({ shell: 'x' }, { output: () => never }), isCode('failed', /broke the protocol/))
      const other = assert.rejects(under.channel.exec({ shell: 'y' }, { output: () => never }), isCode('failed', /broke the protocol/))
      guest.say(...breach((await guest.next(ask.exec)).id))
      await run
      await other
      await guest.closed()
    })
  }
  it('more input taken than given', async () => {
    await using under = await channelTo()
    const guest = await under.guest(0)
    await guest.greet()
    const stdin = (async function* () {
      yield Buffer.alloc(100)
      await new Promise(() => undefined)
    })()
    const run = assert.rejects(runIn(under.channel, 'cat', { stdin }), isCode('failed', /broke the protocol/))
    const { id } = await guest.next(ask.exec)
    await guest.next(ask.stdin)
    guest.say({ type: answer.taken, id, payload: Buffer.of(101, 0, 0, 0) })
    await run
  })
  it('and is dialled ever more rarely if it goes on', async () => {
    await using under = await channelTo()
    for (let n = 0; n < 8; n++) {
      const guest = await under.guest(n)
      await guest.greet()
      guest.say({ type: ask.kill, id: 0 })
      await guest.closed()
      await under.world.pass(Math.min(1000, 10 * 2 ** n) - 1)
      assert.equal(under.guests.length, n + 1)
      await under.world.pass(1)
    }
  })
})
