import assert from 'node:assert/strict'
import { it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Frame, hello, nonceOf, pack } from '../../src/drivers/channel/rexec/frame.ts'
import { fieldsFrom } from '../../src/drivers/channel/rexec/fields.ts'
import { answer, ask, askLimitBytes, execFlag, identifyField, identifyMore, nonceBytes, trailerBytes } from '../../src/drivers/channel/rexec/protocol.ts'
import { type FilesOrder, operations, orderOf } from '../../src/drivers/channel/rexec/files-order.ts'
import { requestOf } from '../../src/drivers/channel/rexec/request.ts'
import { diceOf, type Dice } from '../dice.ts'
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
  place = agent.dir
  const talk = talker(agent.stream)
  await talk.awake(1)
  let done = 0
  for (let n = 0; n < cases; n++) {
    const seed = (first + n) >>> 0
    const dice = diceOf(seed)
    try {
      // Mostly from a host that has proved itself: others get no further than the greeting.
      const proven = dice(8) > 0
      if (proven) await talk.greet(nonceFrom(dice))
      // Operations on files are ended by the next greeting, so they need time to do anything.
      const patient = proven && dice(16) === 0
      if (patient) for (let count = 1 + dice(6); count > 0; count--) talk.send(...orderFrames(dice, count))
      else for (const bytes of nonsense(dice, proven ? (frames) => talk.pack(...frames) : undefined)) talk.write(bytes)
      if (patient) await sleep(20 + dice(60))
      // Their standard error is the host's to hear, and a fault of memory with it.
      assert.doesNotMatch(talk.heard.filter(({ type }) => type === answer.stderr).map(({ payload }) => payload.toString()).join(''), /Sanitizer|runtime error/)
      const ends = talk.heard.filter(({ type }) => patient && type === answer.exit)
      done += ends.length
      talk.ignore()
      await talk.greet(nonceFrom(dice))
      assert.deepEqual(await talk.run(0xffffffff, 'echo ok; echo err >&2; exit 7'), { stdout: 'ok\n', stderr: 'err\n', exit: [0, 7] })
      const strangers = talk.heard.filter(({ id, type }) => id !== 0xffffffff && type !== answer.pong)
      assert.deepEqual(strangers, [])
    } catch (fault) {
      await agent.end().catch((end: unknown) => process.stderr.write(`${end instanceof Error ? end.message : String(end)}\n`))
      throw new Error(`with TT_SEED=${seed}`, { cause: fault })
    }
  }
  assert.ok(done > cases / 200, `${done} operations on files were done or refused`)
  await agent.end()
})

const sha256OfNothing = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
/** Where operations on files are tried. */
let place = '/nowhere'

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
  { script: 'echo $1', args: ['x'] },
  { script: '#!/bin/cat\nx' },
  { script: '#!/nowhere x' },
  { shell: 'stty raw; cat' },
  { shell: 'sleep 9 & cat /dev/tty' },
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

const values = ['', 'x', '10.0.0.2/24', '10.0.0.1', '1400', '-1', '99999999999999999999', String(Date.now()), '00', 'a5'.repeat(64), 'zz', 'ssh-ed25519 AAAA x', 'k'.repeat(5000), 'a b', '\n']

/** A body in frames of some size; now and then it is bent, or cut. */
function inPieces(dice: Dice, body: Buffer, frameOf: (piece: Buffer, isLast: boolean) => Frame): Frame[] {
  if (dice(6) === 0 && body.length > 0) body.writeUInt8(dice(256), dice(body.length))
  const whole = dice(6) === 0 ? body.subarray(0, dice(body.length + 1)) : body
  const size = dice(2) ? askLimitBytes - 1 : 1 + dice(3000)
  const frames: Frame[] = []
  for (let at = 0; at === 0 || at < whole.length; at += size) frames.push(frameOf(whole.subarray(at, at + size), at + size >= whole.length))
  return frames
}

function framesFrom(dice: Dice): Frame[] {
  const id = dice(4)
  const kind = dice(18)
  if (kind >= 12 && kind < 15) return orderFrames(dice, id)
  if (kind < 4) {
    const command = commands[dice(commands.length)] as (typeof commands)[number]
    const options = {
      ...(dice(3) === 0 ? { env: { A: 'b', PATH: '/bin' } } : {}),
      ...(dice(5) === 0 ? { cwd: dice(2) ? '/' : '/nowhere' } : {}),
      ...(dice(3) === 0 ? { tty: { columns: 1 + dice(300), rows: 1 + dice(0xffff) } } : {}),
    }
    const body = requestOf(command as { argv: string[] }, options)
    if (dice(4) === 0) body.writeUInt32LE(dice(5000), 4 * dice(2))
    return inPieces(dice, body, (piece, isLast) => execFrame(id, piece, isLast ? dice(2) * execFlag.noStdin : execFlag.more))
  }
  if (kind === 15) return [{ type: ask.size, id, payload: bytesFrom(dice, dice(4) ? 4 : dice(6)) }]
  if (kind === 16) return [{ type: dice(2) ? ask.proof : ask.key, id, payload: bytesFrom(dice, dice(2) ? 32 : dice(40)) }]
  if (kind === 17) {
    // What could come of it would have to be root's doing, which the agent of this test is not.
    const tags = Object.values(identifyField)
    const fields = Array.from({ length: dice(5) }, () => [tags[dice(tags.length)] as number, values[dice(values.length)] as string] as const)
    return inPieces(dice, fieldsFrom(0, fields), (piece, isLast) => ({ ...execFrame(id, piece, isLast ? 0 : identifyMore), type: ask.identify }))
  }
  if (kind < 6) return [{ type: ask.stdin, id, payload: Buffer.alloc(dice(askLimitBytes + 1), 65) }]
  if (kind === 6) return [{ type: ask.eof, id }]
  if (kind === 7) return [{ type: ask.credit, id, payload: Buffer.concat([Buffer.of(answer.stdout + dice(3)), bytesFrom(dice, dice(9) ? 2 : 4), Buffer.alloc(2)]).subarray(0, 5) }]
  if (kind === 8) return [{ type: ask.signal, id, payload: Buffer.from(['SIGTERM', 'SIGSTOP', 'SIGINT', 'SIGRTMIN+3', 'SIG', ''][dice(6)] as string) }]
  if (kind === 9) return [{ type: ask.kill, id }]
  if (kind === 10) return [{ type: ask.ping, id, payload: bytesFrom(dice, dice(64)) }]
  return [{ type: dice(2) ? ask.bye : ask.halt, id, payload: bytesFrom(dice, dice(6)) }]
}

/** An operation on files of the agent's own directory, whole or spoiled. */
function orderFrames(dice: Dice, id: number): Frame[] {
  const names = ['a', 'b', 'a/b', 'l', '', '.', '..', 'x'.repeat(300), 'd/d/d', 'x/'.repeat(2000)]
  const order: FilesOrder = {
    operation: (1 + dice(operations.link)) as FilesOrder['operation'],
    path: dice(12) === 0 ? '/' : `${place}/${names[dice(names.length)]}`,
    mode: dice(3) ? 0o644 : dice(0o10000),
    sizeBytes: [0, 1, dice(10_000), 300_000][dice(4)],
    offset: dice(3) === 0 ? dice(5000) : 0,
    sha256: dice(2) ? sha256OfNothing : '65'.repeat(32),
    target: dice(4) === 0 ? 'y'.repeat(1 + dice(4000)) : undefined,
    overwrite: dice(2) === 0,
    part: dice(3) === 0,
  }
  let body = orderOf(order)
  if (dice(4) === 0) body.writeUInt32LE(dice(5000), 4 * dice(2))
  if (dice(5) === 0) body = body.subarray(0, dice(body.length))
  if (dice(6) === 0) body = Buffer.concat([body, bytesFrom(dice, dice(3000))])
  if (dice(8) === 0) body[dice(body.length)] = dice(256)
  const frames = inPieces(dice, body, (piece, isLast) => ({ ...execFrame(id, piece, isLast ? dice(2) * execFlag.noStdin : execFlag.more), type: ask.file }))
  for (let count = dice(4); count > 0; count--) frames.push({ type: ask.stdin, id, payload: Buffer.alloc(dice(askLimitBytes), 65) })
  if (dice(2)) frames.push({ type: ask.eof, id })
  return frames
}
