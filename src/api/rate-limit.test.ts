import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { manualWorld } from '../base/manual-world.ts'
import { realWorld } from '../base/world.ts'
import { TtError } from '../model/errors.ts'
import type { Caller } from '../model/user.ts'
import { type RateLimit, rateLimited } from './rate-limit.ts'

const ann: Caller = { user: { name: 'ann', role: 'user' } }
const valid = new Set(['good', 'other'])

function limiter(limit: RateLimit = { perSecond: 10, burst: 20 }, world = manualWorld()) {
  let asked = 0
  const check = (token: string) => {
    asked++
    return valid.has(token) ? ann : undefined
  }
  const { authenticate, lines } = rateLimited(check, limit, world)
  /** `yes`, `no` or `limited`. */
  const ask = (token: string, from = '192.0.2.1') => {
    try {
      return authenticate(token, from) === undefined ? 'no' : 'yes'
    } catch (thrown) {
      return thrown instanceof TtError ? thrown.code : String(thrown)
    }
  }
  const count = (times: number, token: string, from?: string) => Array.from({ length: times }, () => ask(token, from)).filter((answer) => answer === 'limited').length
  return { world, ask, count, lines, asked: () => asked }
}

describe('a limit of requests', () => {
  it('lets a token have its burst, then its pace, each token its own', async () => {
    const { world, count, ask } = limiter()
    assert.deepEqual([count(20, 'good'), count(5, 'good'), ask('other')], [0, 5, 'yes'])
    await world.advance(1000)
    assert.equal(count(15, 'good'), 5)
    await world.advance(60_000)
    assert.equal(count(25, 'good'), 5, 'quiet is saved up to the burst and no further')
  })

  it('is the same however its time comes', async () => {
    const { world, ask } = limiter()
    let admitted = 0
    for (let at = 0; at < 10_000; at++) {
      await world.advance(1)
      if (ask('good') === 'yes') admitted++
    }
    assert.ok(Math.abs(admitted - (20 + 10 * 10)) <= 1, String(admitted))
  })

  it('of 0 holds up no token', () => {
    const { count } = limiter({ perSecond: 0, burst: 1 })
    assert.equal(count(10_000, 'good'), 0)
  })

  it('refuses whoever guesses tokens, without looking at them, and nobody whose token is known', async () => {
    const { world, count, ask, asked } = limiter({ perSecond: 1000, burst: 1000 })
    assert.equal(ask('good'), 'yes')
    assert.equal(count(150, 'guess'), 50)
    const before = asked()
    assert.deepEqual([ask('guess'), ask('other'), asked() - before], ['limited', 'limited', 0], 'a right guess is not told from a wrong one')
    assert.deepEqual([ask('good'), ask('other', '192.0.2.2')], ['yes', 'yes'])
    await world.advance(1000)
    assert.equal(count(15, 'guess'), 5)
    await world.advance(200)
    assert.equal(ask('other'), 'yes')
  })

  it('takes the addresses of one IPv6 network for one, and mapped ones for themselves', () => {
    const { count } = limiter()
    const guesses = (from: (at: number) => string) => Array.from({ length: 150 }, (_, at) => count(1, 'guess', from(at))).reduce((sum, one) => sum + one, 0)
    assert.equal(guesses((at) => `fd00:1:2:3::${at.toString(16)}`), 50)
    assert.equal(guesses((at) => `fd00:1:2:3:4:5:6:${at.toString(16)}`), 150, 'the same network')
    assert.equal(guesses((at) => `fd00:1:2:${(at + 16).toString(16)}::1`), 0)
    assert.equal(guesses((at) => `::ffff:192.0.2.${at + 10}`), 0)
    assert.equal(guesses(() => '::1'), 50)
  })

  it('forgets a token that is valid no more, and who refused by itself counts as wrong', async () => {
    const world = manualWorld()
    const gone = new TtError({ code: 'unauthenticated', message: 'the token has ended' })
    let ended = false
    const { authenticate } = rateLimited(async () => (ended ? Promise.reject(gone) : ann), { perSecond: 1000, burst: 1000 }, world)
    await authenticate('good', 'a')
    ended = true
    for (let times = 0; times < 100; times++) await assert.rejects(async () => authenticate('good', 'a'), gone)
    await assert.rejects(async () => authenticate('good', 'a'), { code: 'limited' })
  })

  it('keeps no more names than it may', async () => {
    const { count, ask } = limiter()
    for (let at = 0; at < 30_000; at++) ask('guess', `198.${at >> 16}.${(at >> 8) & 255}.${at & 255}`)
    assert.equal(count(100, 'guess', '198.0.0.0'), 0, 'the oldest address was put out')
  })

  it('counts whom it refused', () => {
    const { count, lines } = limiter()
    count(25, 'good')
    count(103, 'guess')
    assert.match(lines(), /^tt_http_limited_total\{who="token"\} 5$/m)
    assert.match(lines(), /^tt_http_limited_total\{who="stranger"\} 3$/m)
  })

  it('costs a request less than 2 µs', (t) => {
    const { authenticate } = rateLimited(() => ann, { perSecond: 1e6, burst: 1e6 }, realWorld)
    const bare = () => ann
    const per = (check: (token: string, from: string) => unknown) => {
      // A token that comes over a wire is a new string each time.
      const tokens = Array.from({ length: 20_000 }, () => Buffer.from('a'.repeat(64)).toString('latin1'))
      const began = performance.now()
      for (const token of tokens) check(token, '192.0.2.1')
      return ((performance.now() - began) * 1000) / tokens.length
    }
    const rounds = Array.from({ length: 15 }, () => per(authenticate) - per(bare))
    const least = Math.min(...rounds.slice(5))
    t.diagnostic(`${least.toFixed(2)} µs`)
    assert.ok(least < 2, `${least} µs`)
  })
})
