import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ear, type Frame, hello, nonceOf, pack } from './frame.ts'
import { agreeMagic, answer, answerLimitBytes, askLimitBytes, awakeMagic, fillerBytes, headerBytes, helloMagic, nonceBytes, trailerBytes } from './protocol.ts'

const nonce = Buffer.from('0123456789abcdef')
const trailer = nonce.subarray(nonceBytes - trailerBytes)
const agree = Buffer.concat([agreeMagic, nonce])
const filler = Buffer.alloc(headerBytes + answerLimitBytes + trailerBytes)
const awake = Buffer.concat([filler, awakeMagic])

/** What an ear hears of these chunks, in words. */
function listen(chunks: Uint8Array[], again?: Buffer) {
  const heard: string[] = []
  const frames: { type: number; id: number; payload: Buffer }[] = []
  const ears = ear({
    agree: () => heard.push('agree'),
    awake: () => heard.push('awake'),
    lost: () => {
      heard.push('lost')
      ears.expect(again ?? Buffer.alloc(nonceBytes, 1))
    },
    broken: (why) => heard.push(`broken: ${why}`),
    frame: (type, id, payload) => {
      heard.push('frame')
      frames.push({ type, id, payload: Buffer.from(payload) })
    },
  })
  ears.expect(nonce)
  for (const chunk of chunks) ears.hear(Buffer.from(chunk))
  return { heard, frames }
}

/** The bytes in pieces of these sizes, over and over. */
function cut(bytes: Buffer, sizes: number[]): Buffer[] {
  const pieces: Buffer[] = []
  for (let at = 0, n = 0; at < bytes.length; n++) {
    const size = sizes[n % sizes.length] ?? 1
    pieces.push(bytes.subarray(at, at + size))
    at += size
  }
  return pieces
}

const aFrame = fc.record({
  type: fc.constantFrom(...Object.values(answer)),
  id: fc.nat(0xffffffff),
  payload: fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.nat(answerLimitBytes).map((size) => new Uint8Array(size)),
    fc.constantFrom(awake.subarray(-2000), agreeMagic, hello(nonce)).map((bytes) => Uint8Array.from(bytes)),
  ),
})
const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 70_000 })), { minLength: 1, maxLength: 8 })
const plain = (frames: { type: number; id: number; payload?: Uint8Array }[]) => frames.map(({ type, id, payload }) => ({ type, id, payload: Buffer.from(payload ?? []).toString('hex') }))

describe('the bytes of a guest', () => {
  it('give the frames that were sent, however they are cut', () => {
    fc.assert(
      fc.property(fc.array(aFrame, { maxLength: 12 }), sizes, fc.uint8Array({ maxLength: 100 }), (frames, parts, junk) => {
        const { heard, frames: got } = listen(cut(Buffer.concat([junk, agree, pack(trailer, frames as Frame[])]), parts))
        assert.deepEqual(heard, ['agree', ...frames.map(() => 'frame')])
        assert.deepEqual(plain(got), plain(frames))
      }),
    )
  })

  it('give nothing of a frame that was cut, and the next agent is heard', () => {
    fc.assert(
      fc.property(fc.array(aFrame, { minLength: 1, maxLength: 4 }), fc.nat(), sizes, (frames, at, parts) => {
        const all = pack(trailer, frames as Frame[])
        const end = at % all.length
        const { heard, frames: got } = listen(cut(Buffer.concat([agree, all.subarray(0, end), awake]), parts))
        let whole = 0
        for (let size = 0; whole < frames.length; whole++) {
          size += headerBytes + (frames[whole] as Frame & { payload: Uint8Array }).payload.length + trailerBytes
          if (size > end) break
        }
        assert.deepEqual(heard, ['agree', ...frames.slice(0, whole).map(() => 'frame'), 'lost', 'awake'])
        assert.deepEqual(plain(got), plain(frames.slice(0, whole)))
      }),
    )
  })

  it('after a new nonce give only what answers it', () => {
    const next = Buffer.alloc(nonceBytes, 7)
    const old = pack(trailer, [{ type: answer.stdout, id: 1, payload: Buffer.from('old') }])
    const fresh = pack(next.subarray(nonceBytes - trailerBytes), [{ type: answer.stdout, id: 2, payload: Buffer.from('new') }])
    const stream = Buffer.concat([agree, old, awake, agree, old, agreeMagic, next, fresh])
    for (const part of [1, 5, 33, 100_000]) {
      const { heard, frames } = listen(cut(stream, [part]), next)
      // Who is awake and has agreed need not be greeted.
      assert.deepEqual(heard.filter((word) => word !== 'awake'), ['agree', 'frame', 'lost', 'agree', 'frame'])
      assert.deepEqual(plain(frames), plain([{ type: answer.stdout, id: 1, payload: Buffer.from('old') }, { type: answer.stdout, id: 2, payload: Buffer.from('new') }]))
    }
  })

  it('that are no frames end the hearing, at once and for good', () => {
    const good = pack(trailer, [{ type: answer.pong, id: 1 }])
    const bad = {
      'a type from the host': pack(trailer, [{ type: 1, id: 1 }]),
      'an unknown type': pack(trailer, [{ type: 0x8f, id: 1 }]),
      'one byte too many': pack(trailer, [{ type: answer.stdout, id: 1, payload: Buffer.alloc(answerLimitBytes + 1) }]),
      'the longest length': Buffer.concat([Buffer.alloc(4, 0xff), good.subarray(4)]),
      'a wrong trailer': pack(Buffer.alloc(trailerBytes, 9), [{ type: answer.pong, id: 1 }]),
    }
    for (const [name, bytes] of Object.entries(bad)) {
      for (const part of [1, 7, 100_000]) {
        const { heard } = listen(cut(Buffer.concat([agree, good, bytes, good, awake]), [part]))
        assert.deepEqual(heard.slice(0, 2), ['agree', 'frame'], name)
        assert.match(heard[2] ?? '', /^broken: a frame/, name)
        assert.equal(heard.length, 3, name)
      }
    }
  })

  it('may be anything', () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      aFrame.map((frame) => Uint8Array.from(pack(trailer, [frame as Frame]))),
      fc.constantFrom(agree, awake, awakeMagic, agreeMagic, Buffer.alloc(50)).map((bytes) => Uint8Array.from(bytes)),
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), sizes, (pieces, parts) => {
        const whole = listen(pieces)
        assert.deepEqual(listen(cut(Buffer.concat(pieces), parts)).frames, whole.frames)
      }),
    )
  })
})

describe('the bytes of a host', () => {
  it('greet after filler that ends any frame', () => {
    const bytes = hello(nonce)
    assert.equal(bytes.length, fillerBytes + 36)
    assert.equal(bytes.length, 4096)
    assert.ok(fillerBytes >= headerBytes + askLimitBytes + trailerBytes + 36, 'what it completes may be a HELLO')
    assert.ok(bytes.subarray(0, fillerBytes).every((byte) => byte === 0))
    assert.deepEqual(bytes.subarray(fillerBytes), Buffer.concat([helloMagic, nonce, Buffer.of(2, 0, 0, 0)]))
  })
  it('have no zero in a nonce', () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: nonceBytes, maxLength: nonceBytes }), (random) => !nonceOf(random).includes(0)))
  })
  it('are as the protocol says', () => {
    assert.equal(pack(trailer, [{ type: 7, id: 0x01020304, payload: Buffer.from('ab') }]).toString('hex'), '02000000' + '07' + '04030201' + '6162' + Buffer.from('89abcdef').toString('hex'))
  })
})
