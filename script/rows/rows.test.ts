import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rowsOf, withProofs } from './page.ts'
import { idsIn } from './proofs.ts'

test('a title speaks of the ids before its colon or in its brackets, and of no others', () => {
  assert.deepEqual(idsIn('B09: del of several ENVs goes on'), ['B09'])
  assert.deepEqual(idsIn('[E06 E08] ports are replaced'), ['E06', 'E08'])
  assert.deepEqual(idsIn('B01, B02: made once'), ['B01', 'B02'])
  assert.deepEqual(idsIn('fault 7: one bad rule'), ['fault 7'])
  assert.deepEqual(idsIn('[D04, faults 3 and 14] hardware'), ['D04', 'fault 3', 'fault 14'])
  assert.deepEqual(idsIn('ports of A01 are kept'), [])
})

test('the page names the proofs of each row, and keeps the reason of one that has none', () => {
  const page = ['# Rows', '', '| id | what | proof |', '| --- | --- | --- |', '| A01 | saves the server | not yet |', '| A02 | both spellings | not yet: later |', '| fault 7 | one rule fails alone | not yet |'].join('\n')
  const proofs = new Map([['A01', [{ file: 'src/cli/a.test.ts', title: 'A01: x' }]], ['fault 7', ['b', 'c', 'd', 'e'].map((name) => ({ file: `test/${name}.test.ts`, title: 'fault 7: x' }))]])
  const fresh = withProofs(page, proofs)
  assert.deepEqual(rowsOf(fresh).map(({ id, proof }) => [id, proof]), [
    ['A01', '[a.test.ts](../src/cli/a.test.ts)'],
    ['A02', 'not yet: later'],
    ['fault 7', '[b.test.ts](../test/b.test.ts), [c.test.ts](../test/c.test.ts), [d.test.ts](../test/d.test.ts) and 1 more'],
  ])
  assert.equal(withProofs(fresh, proofs), fresh)
  assert.match(withProofs(fresh, new Map()), /\| A01 \| saves the server \| not yet \|/)
})
