import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { offeredToken, protocolName, tokenProtocolOf } from './protocol.ts'

describe('a token among protocols', () => {
  it('comes back as it was', () => {
    const token = fc.string({ unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)), minLength: 1, maxLength: 200 })
    fc.assert(
      fc.property(token, (one) => {
        const offered = tokenProtocolOf(one)
        assert.equal(offered[0], protocolName)
        assert.ok(offered.every((protocol) => /^[\w.-]+$/.test(protocol)), 'each is a token of HTTP')
        assert.equal(offeredToken(offered.join(', ')), one)
        assert.equal(offeredToken(offered.toReversed().join(',')), one)
      }),
    )
  })

  it('is not seen where there is none', () => {
    for (const header of [undefined, '', 'tt.v1', 'tt.token.', 'tt.token.a b', 'tt.token.=', 'x.tt.token.YQ', `tt.token.${'a'.repeat(1001)}`, 'tt.token.a']) assert.equal(offeredToken(header), undefined, header)
  })
})
