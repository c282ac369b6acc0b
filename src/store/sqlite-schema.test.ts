import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { it } from 'node:test'
import { migrate, migrations } from './sqlite-schema.ts'
import { refusal } from './under-test.ts'

const first = migrations.slice(0, 1)
const later = [...first, 'ALTER TABLE entries ADD COLUMN note TEXT', "UPDATE entries SET note = 'from ' || key"]
const schemaOf = (db: DatabaseSync) => db.prepare("SELECT value FROM meta WHERE name = 'schema'").get()?.value

it('brings an older file through every step it has missed, once', () => {
  const db = new DatabaseSync(':memory:')
  migrate(db, 'x', first)
  db.exec("INSERT INTO entries VALUES ('a', '1', 1, NULL)")
  migrate(db, 'x', later)
  assert.deepEqual({ ...db.prepare('SELECT * FROM entries').get() }, { key: 'a', value: '1', revision: 1, lease: null, note: 'from a' })
  assert.equal(schemaOf(db), 3)
  migrate(db, 'x', later)
  assert.equal(schemaOf(db), 3)
})

it('leaves the file as it was when a step fails', () => {
  const db = new DatabaseSync(':memory:')
  migrate(db, 'x', first)
  assert.throws(() => migrate(db, 'x', [...later, 'SELECT nonsense']), /nonsense/)
  assert.equal(schemaOf(db), 1)
  assert.deepEqual(db.prepare("SELECT name FROM pragma_table_info('entries')").all().map(({ name }) => name), ['key', 'value', 'revision', 'lease'])
})

it('refuses a file of a later version', async () => {
  const db = new DatabaseSync(':memory:')
  migrate(db, 'x', later)
  await refusal('unsupported', (async () => migrate(db, 'x', first))())
})
