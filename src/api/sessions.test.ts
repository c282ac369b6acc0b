import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { TtError } from '../model/errors.ts'
import type { SessionFrame, SessionInput } from '../model/session.ts'
import { frameOf, lineOf, type Message, packed, unpacked } from './sessions.ts'

const vm = fc.constantFrom('demo.0', 'demo.9999', `${'x'.repeat(63)}.999999999`)
const text = fc.string({ unit: fc.constantFrom('a', '0', '/', '%', '.', ':', '?', '#', '&', '+', ' ', '"', '\\', '\0', '\n', '\ufeff', 'ä', '\ud800', '\u{1f600}') }).map((value) => value.toWellFormed())
const problem = fc.record({ code: fc.constantFrom('timeout' as const, 'failed' as const), message: text, subject: text }, { requiredKeys: ['code', 'message'], noNullPrototype: true })
const frame: fc.Arbitrary<SessionFrame> = fc.oneof(
  fc.record({ type: fc.constant('begin' as const), vm, image: text, address: text }, { requiredKeys: ['type', 'vm', 'image'], noNullPrototype: true }),
  fc.record({ type: fc.constantFrom('stdout' as const, 'stderr' as const), vm, data: fc.uint8Array() }, { noNullPrototype: true }),
  fc.record({ type: fc.constant('exit' as const), vm, code: fc.integer({ min: 0, max: 255 }) }, { noNullPrototype: true }),
  fc.record({ type: fc.constant('exit' as const), vm, signal: fc.constant('SIGKILL') }, { noNullPrototype: true }),
  fc.record({ type: fc.constant('problem' as const), vm, problem }, { requiredKeys: ['type', 'problem'], noNullPrototype: true }),
  fc.record({ type: fc.constant('note' as const), vm: text, host: text, text }, { requiredKeys: ['type', 'text'], noNullPrototype: true }),
  fc.record({ type: fc.constant('leak' as const), host: text, leak: fc.record({ kind: fc.constant('tap' as const), subject: text, why: text }, { noNullPrototype: true }) }, { noNullPrototype: true }),
  fc.record({ type: fc.constant('built' as const), host: text, image: text }, { noNullPrototype: true }),
)
const input: fc.Arbitrary<SessionInput> = fc.oneof(
  fc.record({ type: fc.constant('stdin' as const), vm, data: fc.uint8Array() }, { requiredKeys: ['type', 'data'], noNullPrototype: true }),
  fc.record({ type: fc.constant('eof' as const), vm }, { requiredKeys: ['type'], noNullPrototype: true }),
  fc.record({ type: fc.constant('signal' as const), vm, signal: fc.constantFrom('SIGINT', 'TERM', 'RTMIN+1') }, { requiredKeys: ['type', 'signal'], noNullPrototype: true }),
  fc.record({ type: fc.constant('size' as const), columns: fc.integer({ min: 1, max: 10_000 }), rows: fc.integer({ min: 1, max: 10_000 }) }, { noNullPrototype: true }),
)
const message: fc.Arbitrary<Message> = fc.oneof(
  frame.map((value) => ({ type: 'frame' as const, frame: value })),
  input.map((value) => ({ type: 'input' as const, input: value })),
  fc.nat().map((bytes) => ({ type: 'credit' as const, bytes })),
  fc.constantFrom({ type: 'opened' as const }, { type: 'ended' as const }),
  problem.map((value) => ({ type: 'broken' as const, problem: value })),
)

/** Runs `read`: a value, or undefined if it refused as it should. Anything else thrown is a fault. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (thrown) {
    assert.ok(thrown instanceof TtError && thrown.code === 'invalid', String(thrown))
    return undefined
  }
}

describe('frames as lines', () => {
  it('come back as they were', () => {
    fc.assert(
      fc.property(frame, (one) => {
        const line = lineOf(one)
        assert.equal(line.indexOf('\n'), line.length - 1, 'one line')
        assert.deepEqual(frameOf(line.slice(0, -1)), one)
      }),
      { numRuns: 500 },
    )
  })

  it('show text as text and other bytes as base64', () => {
    assert.equal(lineOf({ type: 'stdout', vm: 'demo.0', data: new TextEncoder().encode('a "b"\n\ufeffä') }), '{"vm":"demo.0","type":"stdout","text":"a \\"b\\"\\n\ufeffä"}\n')
    assert.equal(lineOf({ type: 'stderr', vm: 'demo.0', data: Uint8Array.of(0xff, 0, 1) }), '{"vm":"demo.0","type":"stderr","base64":"/wAB"}\n')
    assert.equal(lineOf({ type: 'exit', vm: 'demo.0', code: 3 }), '{"type":"exit","vm":"demo.0","code":3}\n')
  })

  it('are refused when they are something else', () => {
    const lines = ['', '{', 'null', '[]', '1', '{}', '{"type":"begin"}', '{"type":"stdout","vm":"a.0"}', '{"type":"stdout","text":"x"}', '{"type":"stdout","vm":"a.0","base64":"*"}', '{"type":"exit","vm":"a.0"}', '{"type":"exit","vm":"a.0","code":"3"}', '{"type":"problem","problem":{}}', '{"type":"constructor"}', '{"type":"__proto__"}', '{"type":["exit"],"vm":"a.0","code":1}']
    for (const line of lines) assert.throws(() => frameOf(line), { code: 'invalid' }, line)
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (line) => void attempt(() => frameOf(line))), { numRuns: 1000 })
  })
})

describe('frames as messages', () => {
  it('come back as they were', () => {
    fc.assert(fc.property(message, (one) => assert.deepEqual(unpacked(packed(one)), one)), { numRuns: 1000 })
  })

  it('cut anywhere are refused, or what is left says less of the same', () => {
    fc.assert(
      fc.property(message, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (one, part) => {
        const whole = packed(one)
        const rest = attempt(() => unpacked(whole.subarray(0, Math.floor(whole.length * part))))
        if (rest) assert.equal(rest.type, one.type)
      }),
      { numRuns: 1000 },
    )
  })

  it('of random bytes are refused or are frames that can be sent again', () => {
    const nearly = fc.tuple(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 8 }), fc.uint8Array({ maxLength: 64 })).map(([tag, length, rest]) => Uint8Array.of(tag, length, ...rest))
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), nearly), (bytes) => {
        const read = attempt(() => unpacked(bytes))
        if (read) assert.deepEqual(unpacked(packed(read)), read)
      }),
      { numRuns: 3000 },
    )
  })

  it('changed in one byte are refused or are still messages', () => {
    fc.assert(
      fc.property(message, fc.nat(), fc.integer({ min: 1, max: 255 }), (one, at, flip) => {
        const bytes = packed(one)
        const place = at % bytes.length
        bytes[place] = (bytes[place] ?? 0) ^ flip
        attempt(() => unpacked(bytes))
      }),
      { numRuns: 2000 },
    )
  })

  it('do not carry names that are too long for one', () => {
    assert.throws(() => packed({ type: 'frame', frame: { type: 'stdout', vm: 'x'.repeat(256), data: new Uint8Array() } }), { code: 'invalid' })
  })

  it('do not carry input that is none', () => {
    const inputs: unknown[] = [{ type: 'signal', signal: 'kill -9; reboot' }, { type: 'signal' }, { type: 'size', columns: 0, rows: 1 }, { type: 'size', columns: 1e9, rows: 1 }, { type: 'eof', vm: 3 }, { type: 'open' }, { type: 'toString' }]
    for (const one of inputs) assert.throws(() => unpacked(packed({ type: 'input', input: one as SessionInput })), { code: 'invalid' }, JSON.stringify(one))
  })
})
