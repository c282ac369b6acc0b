import assert from 'node:assert/strict'
import { duplexPair } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { describe, it } from 'node:test'
import { runInNewContext } from 'node:vm'
import { TtError } from '../../src/model/errors.ts'
import { diceOf, type Dice } from '../dice.ts'
import type { Channel } from '../../src/drivers/channel/channel.ts'
import { type Frame, pack } from '../../src/drivers/channel/rexec/frame.ts'
import { answer, answerLimitBytes, ask, headerBytes, windowBytes } from '../../src/drivers/channel/rexec/protocol.ts'
import { awake, channelTo, guestOn } from '../../src/drivers/channel/rexec/guest-ground.ts'

const soak = process.env['TT_SOAK'] === '1'
const framesWanted = soak ? 1_000_000 : 10_000
const first = Number(process.env['TT_SEED'] ?? Date.now() % 1_000_000_000)
const mostHeldMb = 100
const mostKeptMb = 24

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void
const usedMb = () => {
  const { heapUsed, external, arrayBuffers } = process.memoryUsage()
  return (heapUsed + external + arrayBuffers) / 2 ** 20
}

const answers = Object.values(answer)
const bytesOf = (dice: Dice, count: number) => Buffer.from(Array.from({ length: count }, () => dice(256)))
const words = ['ENOENT exec', 'EACCES greeting', 'EPERM clock', 'EINVAL request', 'E exec', '\x00\x00', '\x00\x07', '\x01SIGKILL', '\x01SIG', '\x01', '']

/** A frame of a guest that follows no rule, though most of its frames are ones. */
function frameOf(dice: Dice, lastId: number): Frame {
  const id = dice(8) === 0 ? dice(2 ** 32) : Math.max(0, lastId - dice(8))
  const type = dice(40) === 0 ? dice(256) : (answers[dice(answers.length)] as number)
  const kind = dice(8)
  if (kind === 0) return { type: dice(2) ? answer.stdout : answer.stderr, id, payload: Buffer.alloc(dice(answerLimitBytes + 1)) }
  if (kind === 1) return { type, id, payload: Buffer.from(words[dice(words.length)] as string, 'latin1') }
  if (kind === 2) return { type: answer.taken, id, payload: bytesOf(dice, 4) }
  if (kind === 3) return { type: answer.beat, id, payload: bytesOf(dice, dice(30) === 0 ? dice(20) : 12) }
  return { type: kind > 5 ? answer.stdout : type, id, payload: bytesOf(dice, dice(40)) }
}

/** What is written next: frames, and now and then something else. */
function writingOf(dice: Dice, trailer: Uint8Array, frames: Frame[]): Buffer {
  const bytes = pack(trailer, frames)
  const kind = dice(60)
  if (kind === 0) bytes.writeUInt32LE(dice(2) ? 0xffffffff : answerLimitBytes + 1 + dice(1000), 0)
  if (kind === 1) bytes.writeUInt8(dice(256), dice(bytes.length))
  if (kind === 2) return Buffer.concat([bytes.subarray(0, dice(bytes.length)), awake])
  if (kind === 3) return Buffer.concat([bytes, Buffer.alloc(dice(40_000)), bytesOf(dice, dice(50))])
  if (kind === 4) return Buffer.concat([bytes, bytesOf(dice, headerBytes + dice(100))])
  return bytes
}

/** Everything that can be asked of a guest, by callers who want it all. */
function ask1(dice: Dice, channel: Channel, signal: AbortSignal): Promise<unknown> {
  const endless = async function* () {
    for (;;) yield Buffer.alloc(5000)
  }
  const sizes = async function* () {
    for (let n = 1; n < 20; n++) yield { columns: n, rows: n }
  }
  const output = dice(3) === 0 ? () => new Promise<void>(() => undefined) : () => undefined
  const kind = dice(9)
  if (kind === 0) return channel.ping({ signal })
  if (kind === 1) return Promise.resolve(channel.identify?.({ hostname: 'x', sshKeys: ['ssh-rsa A'.padEnd(9000, 'A')] }, { signal }))
  if (kind === 2) return Promise.resolve(channel.files?.read('/x', { output }, { signal }))
  if (kind === 3) return Promise.resolve(channel.files?.stat('/x', { signal }))
  if (kind === 4) return channel.exec({ script: '#!/bin/sh\n' }, { output, tty: { columns: 1, rows: 1 }, sizes: sizes(), stdin: endless() }, { signal })
  return channel.exec({ shell: 'x' }, { output, ...(dice(2) ? { stdin: endless() } : {}) }, { signal })
}

describe('rexec: a hostile guest', () => {
  it(`says ${framesWanted} frames, and nothing comes of it but refused calls (TT_SEED=${first})`, { timeout: soak ? 3_600_000 : 120_000 }, async () => {
    const arrived: ReturnType<typeof guestOn>[] = []
    await using under = await channelTo(async () => {
      const [ours, theirs] = duplexPair({ highWaterMark: 1 << 20 })
      arrived.push(guestOn(theirs))
      return ours
    })
    await using well = await channelTo()
    const neighbour = await well.guest(0)
    await neighbour.greet()
    let said = 0
    let calls = 0
    let lastId = 0
    let refused = 0
    let mostMb = 0
    let baseMb = 0
    for (let round = 0; said < framesWanted; round++) {
      const dice = diceOf((first + round) >>> 0)
      let guest: (typeof arrived)[number] | undefined
      for (let n = 0; n < 200 && !guest; n++) {
        guest = arrived.splice(0).find((one) => !one.isClosed()) // The others were given up while the time passed.
        if (!guest) await under.world.pass(20)
      }
      assert.ok(guest, `round ${round}: it is dialled again`)
      const trailer = await guest.greet()
      guest.stream.removeAllListeners('data').resume() // What the host says is nothing to it, and would only be held by this test.
      const listening = new AbortController()
      const faults: unknown[] = []
      const running = Array.from({ length: 1 + dice(6) }, () => ask1(dice, under.channel, listening.signal).catch((fault: unknown) => void faults.push(fault)))
      lastId += running.length
      calls += running.length
      for (let n = 0; n < 3; n++) await turn()
      for (let left = dice(400); left > 0 && !guest.isClosed(); left--) {
        const frames = Array.from({ length: 1 + dice(6) }, () => frameOf(dice, lastId))
        said += frames.length
        guest.stream.write(writingOf(dice, trailer, frames))
        if (dice(4) === 0) await turn()
      }
      if (usedMb() > mostMb) collect() // What is garbage by now does not count.
      mostMb = Math.max(mostMb, usedMb())
      guest.stream.destroy()
      listening.abort()
      await under.world.pass(1100)
      await Promise.all(running)
      for (const fault of faults) assert.ok(fault instanceof TtError && fault.code !== 'internal', `round ${round}, TT_SEED=${first + round}: ${String(fault)}`)
      refused += faults.length
      if (round % 20 === 0) {
        const ping = well.channel.ping()
        neighbour.say({ type: answer.pong, id: (await neighbour.next(ask.ping)).id })
        await ping
      }
      if (round === 20) {
        collect()
        baseMb = usedMb()
      }
    }
    // What was held by promises and finalisers goes a turn later each.
    for (let n = 0; n < 5; n++) {
      collect()
      await turn()
    }
    assert.ok(mostMb < mostHeldMb, `${mostMb.toFixed()} MB were held at once`)
    assert.ok(usedMb() - baseMb < mostKeptMb, `${(usedMb() - baseMb).toFixed()} MB are kept`)
    assert.ok(refused > calls / 2, `${refused} of ${calls} calls were refused`)
  })
  it('that reads nothing is disconnected once too much waits for it', async () => {
    await using under = await channelTo()
    const guest = await under.guest(0)
    await guest.greet()
    await under.channel.ready()
    guest.stream.pause()
    const long = 'x'.repeat(8 << 20)
    const calls = new AbortController()
    const running = Array.from({ length: 12 }, () => under.channel.exec({ shell: long }, { output: () => undefined }, { signal: calls.signal }).then(() => 'ran', (fault: TtError) => fault.code))
    assert.equal(await Promise.race(running), 'failed')
    calls.abort() // Who comes after that waits for it to come back.
    const codes = await Promise.all(running)
    assert.ok(codes.filter((code) => code === 'failed').length >= 7, codes.join())
  })
  it('gets no more input than its window, however little it says', async () => {
    await using under = await channelTo()
    const guest = await under.guest(0)
    await guest.greet()
    let read = 0
    const stdin = async function* () {
      for (;;) yield Buffer.alloc(((read += 10_000), 10_000))
    }
    const calls = new AbortController()
    const running = under.channel.exec({ argv: ['cat'] }, { output: () => undefined, stdin: stdin() }, { signal: calls.signal }).catch(() => undefined)
    for (let n = 0; n < 200; n++) await turn()
    assert.ok(read <= windowBytes + 20_000, `${read}`)
    calls.abort()
    await under.world.pass(1100)
    await running
  })
})
