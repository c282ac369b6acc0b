import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bracketEscape, type Escape, tildeEscape } from './escape.ts'

/** What reaches the guest of some keys, each text one press; `|` where it was left. */
const sent = (escape: Escape, ...texts: string[]): string => {
  let all = ''
  for (const text of texts) {
    const { data, leaves } = escape.pass(Buffer.from(text))
    all += Buffer.from(data).toString()
    if (leaves) return `${all}|`
  }
  return all
}

test('~. leaves at the beginning of a line only', () => {
  for (const [given, arrives] of [
    [['~.'], '|'],
    [['~', '.'], '|'],
    [['ls\r', '~', '.', 'more'], 'ls\r|'],
    [['ls\r~.'], 'ls\r|'],
    [['ls ~.\r'], 'ls ~.\r'],
    [['~~.\r'], '~.\r'],
    [['~', '~', '~'], '~~'],
    [['~/x\r'], '~/x\r'],
    [['~\r~.'], '~\r|'],
    [['ü~.', '\n~', '.'], 'ü~.\n|'],
    [['\x03~.'], '\x03~.'],
  ] as const)
    assert.equal(sent(tildeEscape(), ...given), arrives, JSON.stringify(given))
})

test('Ctrl-] leaves at any time', () => {
  assert.equal(sent(bracketEscape(), 'a~.', 'b\x1dc'), 'a~.b|')
})
