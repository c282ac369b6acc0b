import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { cut, jsonText, visible } from './text.ts'
import { facts, table } from './table.ts'

const control = /[\p{Cc}\p{Cf}\u2028\u2029]/u
const anyText = fc.string({ unit: 'binary', maxLength: 50 })

test('no text can control the screen once it is visible, and harmless text stays', () => {
  fc.assert(fc.property(anyText, (text) => !control.test(visible(text))))
  assert.equal(visible('ä 漢 😀 "\\'), 'ä 漢 😀 "\\')
  assert.equal(visible('a\nb\tc\x1b[31m\x7f\u009b\u202e\u2028\ud800'), 'a\\nb\\tc\\x1b[31m\\x7f\\x9b\\u{202e}\\u{2028}\ufffd')
})

test('JSON is harmless on a screen and reads back as it was', () => {
  assert.equal(jsonText('\x7f\u009b31m\n'), '"\\u007f\\u009b31m\\n"')
  fc.assert(
    fc.property(anyText, (text) => {
      const json = jsonText({ text })
      assert.doesNotMatch(json, /\p{Cc}/u)
      assert.deepEqual(JSON.parse(json), { text })
    }),
  )
})

test('a table is a line for each row, whatever is in it', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(anyText, anyText), { maxLength: 5 }), (rows) => {
      const lines = table(rows, [{ title: 'A', text: ([one]) => one }, { title: 'B', text: ([, two]) => two }]).split('\n')
      assert.equal(lines.length, rows.length + 1)
      assert.ok(lines.every((line) => !control.test(line)))
      assert.equal(facts(rows.map(([, two]) => ['key', two])).split('\n').length, Math.max(1, rows.length))
    }),
  )
})

const columns = [
  { title: 'NAME', text: ({ name }: Row) => name },
  { title: 'ABOUT', cut: true as const, text: ({ about }: Row) => about },
  { title: 'SIZE', align: 'right' as const, colour: () => 'green' as const, text: ({ size }: Row) => size },
]
interface Row {
  name: string
  about: string
  size: string
}
const rows: Row[] = [
  { name: 'a', about: 'something long to say', size: '1 MB' },
  { name: 'longer', about: '', size: '100 MB' },
]

test('a table is aligned, and whole where nobody looks', () => {
  assert.equal(table(rows, columns), ['NAME    ABOUT                    SIZE', 'a       something long to say    1 MB', 'longer  -                      100 MB'].join('\n'))
})

test('on a screen only what may be cut is, and never to nothing', () => {
  const at = (width: number) => table(rows, columns, { columns: width, colour: false }).split('\n')[1]
  assert.equal(at(80), 'a       something long to say    1 MB')
  assert.equal(at(30), 'a       something lon…    1 MB')
  assert.equal(at(5), 'a       somet…    1 MB')
})

test('colours are on screens that have them, around the text and not the gap', () => {
  assert.ok(table(rows, columns, { columns: 80, colour: true }).split('\n')[1]?.endsWith('  \x1b[32m1 MB\x1b[0m'))
  assert.doesNotMatch(table(rows, columns, { columns: 80, colour: false }), /\p{Cc}\[/u)
})

test('text is cut with a mark', () => assert.deepEqual([cut('abcdef', 6), cut('abcdef', 4), cut('abcdef', 1), cut('abcdef', 0)], ['abcdef', 'abc…', '…', '…']))
