import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { linkOn, subnet } from '../ground.ts'
import { addLink, addSlice, baseRuleset, type Elements, elementStatements, noRuleset } from './ruleset.ts'

const golden = new URL('golden/ruleset.nft', import.meta.url)
const mark = 'abcde'
const realm = { mark, subnet }
const usual = { peers: ['10.77.8.0/24'], far: ['192.0.2.0/24'] }
const link = linkOn(0, 0, { ports: { 22: 40_000, 80: 40_001 }, owner: 4242, denyOutgoing: true, deny: ['10.0.0.0/8', '10.77.0.9', '192.0.2.7'] })

test('the rules of a server, and the elements of a link', () => {
  const all: Elements = new Map()
  addSlice(all, realm, { slice: link.slice, segment: usual })
  addLink(all, realm, { link, segment: usual })
  const statements = [
    ...baseRuleset(realm),
    ...elementStatements(mark, { removed: ['public 39999', 'cards "ttabcdet1" . 52:54:00:00:00:01 . 10.0.0.1'], added: all }),
    ...noRuleset(mark),
  ]
  const text = `${statements.join('\n')}\n`
  if (process.env.TT_GOLDEN === 'write') writeFileSync(golden, text)
  assert.equal(text, readFileSync(golden, 'utf8'), 'if the change is meant: TT_GOLDEN=write, and look at the difference')
})

test('a link without an owner or ports has fewer elements', () => {
  const few: Elements = new Map()
  addLink(few, realm, { link: { ...link, ports: {}, denyOutgoing: false, deny: ['192.0.2.0/24'], owner: undefined }, segment: usual })
  assert.deepEqual([...few], [
    ['cards "ttabcdet2uw3k2" . 52:54:00:4d:00:02 . 10.77.0.2', '"ttabcdet2uw3k2" . 52:54:00:4d:00:02 . 10.77.0.2 comment "network0.0"'],
    ['askers "ttabcdet2uw3k2" . 52:54:00:4d:00:02 . 90520735776770', '"ttabcdet2uw3k2" . 52:54:00:4d:00:02 . 90520735776770'],
  ])
})

test('many elements are few statements, each of one length at most', () => {
  const added = new Map(Array.from({ length: 1201 }, (_, at) => [`open ${at + 1} . 10.77.0.2`, `${at + 1} . 10.77.0.2`]))
  const statements = elementStatements(mark, { removed: [], added })
  assert.deepEqual(
    statements.map((statement) => statement.split(',').length),
    [500, 500, 201],
  )
  assert.ok(statements.every((statement) => /^add element ip tt_abcde open \{ \d+ \. 10\.77\.0\.2(, \d+ \. 10\.77\.0\.2)* \}$/.test(statement)))
  assert.deepEqual(elementStatements(mark, { removed: [], added: new Map() }), [])
})
