import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { expectOf, tagOf } from './preconditions.ts'

describe('preconditions', () => {
  it('are a revision or absence', () => {
    assert.equal(expectOf(undefined, undefined), undefined)
    assert.equal(expectOf('"17"', undefined), '17')
    assert.equal(expectOf(' "a:b,c" ', undefined), 'a:b,c')
    assert.equal(expectOf(undefined, '*'), 'absent')
  })

  it('are refused when they are anything else', () => {
    for (const bad of ['17', '*', 'W/"17"', '"17", "18"', '""', '"', '"absent"', '"a"b"', `"${'1'.repeat(201)}"`, '"ä"']) assert.throws(() => expectOf(bad, undefined), { code: 'invalid' }, bad)
    for (const bad of ['"17"', '', 'W/*']) assert.throws(() => expectOf(undefined, bad), { code: 'invalid' }, bad)
    assert.throws(() => expectOf('"17"', '*'), { code: 'invalid' })
  })

  it('are read back from the tag of a revision', () => {
    for (const revision of ['1', 'a:1,b:2', '~!']) assert.equal(expectOf(tagOf(revision), undefined), revision)
    for (const odd of ['', 'a"b', 'ä', 'a\nb', 'x'.repeat(300)]) assert.equal(tagOf(odd), undefined)
  })
})
