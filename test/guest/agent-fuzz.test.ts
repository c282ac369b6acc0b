import assert from 'node:assert/strict'
import { it } from 'node:test'
import { type Frame, hello, nonceOf, pack } from '../../src/drivers/channel/rexec/frame.ts'
import { answer, ask, askLimitBytes, execFlag, nonceBytes, trailerBytes } from '../../src/drivers/channel/rexec/protocol.ts'
import { requestOf } from '../../src/drivers/channel/rexec/request.ts'
import { streamAgent } from './local-agent.ts'
import { execFrame, talker } from './talker.ts'

const soak = process.env['TT_SOAK'] === '1'
const cases = soak ? 200_000 : 2000
const first = Number(process.env['TT_SEED'] ?? Date.now() % 1_000_000_000)

/**
 * Whatever a host says, and wherever it stops, the agent stays whole (the build stops at any fault of memory or arithmetic), and the next
 * HELLO finds it: nothing half said is done, nothing of the old host is told to the new one, and a command runs as it should.
 */
it(`the agent survives ${cases} hosts that talk nonsense (TT_SEED=${first})`, { timeout: soak ? 7_200_000 : 120_000 }, async () => {
  const agent = await streamAgent('sanitized')
  const talk = talker(agent.stream)
  await talk.awake(1)
  for (let n = 0; n < cases; n++) {
    const seed = (first + n) >>> 0
    const dice = diceOf(seed)
    try {
      // Mostly from a host that has proved itself: others get no further than the greeting.
      const proven = dice(8) > 0
      if (proven) await talk.greet(nonceFrom(dice))
      for (const bytes of nonsense(dice, proven ? (frames) => talk.pack(...frames) : undefined)) talk.write(bytes)
      await talk.greet(nonceFrom(dice))
      assert.deepEqual(await talk.run(0xffffffff, 'echo ok; echo err >&2; exit 7'), { stdout: 'ok\n', stderr: 'err\n', exit: [0, 7] })
      const strangers = talk.heard.filter(({ id, type }) => id !== 0xffffffff && type !== answer.pong)
      assert.deepEqual(strangers, [])
    } catch (fault) {
      await agent.end().catch((end: unknown) => process.stderr.write(`${end instanceof Error ? end.message : String(end)}\n`))
      throw new Error(`with TT_SEED=${seed}`, { cause: fault })
    }
  }
  await agent.end()
})

type Dice = (sides: number) => number

/** Numbers below `sides`, the same for the same seed: xorshift32. */
function diceOf(seed: number): Dice {
  let state = Math.imul(seed + 1, 0x9e3779b1) | 1
  return (sides) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % sides
  }
}

const bytesFrom = (dice: Dice, count: number): Buffer => Buffer.from(Array.from({ length: count }, () => dice(256)))
const nonceFrom = (dice: Dice): Buffer => nonceOf(bytesFrom(dice, nonceBytes))

/** What a connection says: frames, some of them bent, then a cut. In pieces as they are written. */
function nonsense(dice: Dice, packed?: (frames: Frame[]) => Buffer): Buffer[] {
  const nonce = nonceFrom(dice)
  const trailer = nonce.subarray(nonceBytes - trailerBytes)
  const pieces: Buffer[] = []
  if (!packed) pieces.push(hello(nonce))
  for (let count = dice(12); count > 0; count--) {
    const kind = dice(20)
    if (kind === 0) pieces.push(bytesFrom(dice, dice(300)))
    else if (kind === 1) pieces.push(Buffer.alloc(dice(5000)))
    else if (kind === 2) pieces.push(hello(dice(2) ? nonce : Buffer.alloc(nonceBytes)))
    else pieces.push((packed ?? ((frames) => pack(trailer, frames)))(framesFrom(dice)))
  }
  let all = Buffer.concat(pieces)
  for (let flips = dice(4) === 0 ? 1 + dice(3) : 0; flips > 0 && all.length > 0; flips--) {
    const at = dice(all.length)
    all.writeUInt8(all.readUInt8(at) ^ (1 << dice(8)), at)
  }
  if (dice(3) > 0) all = all.subarray(0, dice(all.length + 1))
  const written: Buffer[] = []
  for (let at = 0; at < all.length; ) {
    const size = 1 + dice(dice(2) ? 50 : 20_000)
    written.push(all.subarray(at, at + size))
    at += size
  }
  return written
}

const commands = [
  { argv: ['true'] },
  { argv: ['echo', 'x'.repeat(3000)] },
  { argv: ['cat'] },
  { argv: ['no-such-program'] },
  { argv: ['sleep', '9'] },
  { shell: 'head -c 300000 /dev/zero' },
  { shell: 'sleep 9 & echo x' },
  { shell: 'exit 3' },
  { shell: `: ${'y'.repeat(9000)}` },
]

function framesFrom(dice: Dice): Frame[] {
  const id = dice(4)
  const kind = dice(12)
  if (kind < 4) {
    const command = commands[dice(commands.length)] as (typeof commands)[number]
    const options = { ...(dice(3) === 0 ? { env: { A: 'b', PATH: '/bin' } } : {}), ...(dice(5) === 0 ? { cwd: dice(2) ? '/' : '/nowhere' } : {}) }
    let body = requestOf(command as { argv: string[] }, options)
    if (dice(4) === 0) body.writeUInt32LE(dice(5000), 4 * dice(2))
    if (dice(6) === 0) body = body.subarray(0, dice(body.length))
    const size = dice(2) ? askLimitBytes - 1 : 1 + dice(3000)
    const frames: Frame[] = []
    for (let at = 0; at === 0 || at < body.length; at += size) {
      const last = at + size >= body.length
      frames.push(execFrame(id, body.subarray(at, at + size), last ? dice(2) * execFlag.noStdin : execFlag.more))
    }
    return frames
  }
  if (kind < 6) return [{ type: ask.stdin, id, payload: Buffer.alloc(dice(askLimitBytes + 1), 65) }]
  if (kind === 6) return [{ type: ask.eof, id }]
  if (kind === 7) return [{ type: ask.credit, id, payload: Buffer.concat([Buffer.of(answer.stdout + dice(3)), bytesFrom(dice, dice(9) ? 2 : 4), Buffer.alloc(2)]).subarray(0, 5) }]
  if (kind === 8) return [{ type: ask.signal, id, payload: Buffer.from(['SIGTERM', 'SIGSTOP', 'SIGINT', 'SIGRTMIN+3', 'SIG', ''][dice(6)] as string) }]
  if (kind === 9) return [{ type: ask.kill, id }]
  if (kind === 10) return [{ type: ask.ping, id, payload: bytesFrom(dice, dice(64)) }]
  return [{ type: dice(2) ? ask.bye : ask.halt, id, payload: bytesFrom(dice, dice(6)) }]
}
