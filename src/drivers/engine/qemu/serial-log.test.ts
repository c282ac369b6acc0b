import assert from 'node:assert/strict'
import { appendFileSync, closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { cutLog, readLog } from './serial-log.ts'

const root = mkdtempSync(join(tmpdir(), 'tt-serial-'))
after(() => rmSync(root, { recursive: true }))
const read = (file: string, limitBytes: number) => Buffer.from(readLog(file, limitBytes) ?? []).toString()

test('a log is cut in place, its newest part is kept, and its writer goes on', () => {
  const file = join(root, 'cut')
  const writer = openSync(file, 'a')
  let all = ''
  for (let line = 0; line < 1000; line++) {
    const text = `line ${line}\n`
    writeSync(writer, text)
    all += text
    cutLog(file, 100)
    assert(statSync(file).size <= 100)
    assert.equal(read(file, 100), all.slice(-100), `after line ${line}`)
    assert.equal(read(file, 7), all.slice(-7))
  }
  assert(statSync(`${file}.1`).size <= 110)
  closeSync(writer)
})

test('one that is small stays as it is', () => {
  const file = join(root, 'small')
  writeFileSync(file, 'x'.repeat(100))
  cutLog(file, 100)
  assert.equal(readFileSync(file, 'utf8').length, 100)
  assert.equal(existsSync(`${file}.1`), false)
  appendFileSync(file, 'y')
  cutLog(file, 100)
  assert.equal(readFileSync(file, 'utf8'), '')
  assert.equal(read(file, 1000), `${'x'.repeat(99)}y`)
})

test('none is none, and a link is not followed', () => {
  cutLog(join(root, 'none'), 10)
  assert.equal(readLog(join(root, 'none'), 10), undefined)
  writeFileSync(join(root, 'secret'), 'x'.repeat(100))
  symlinkSync(join(root, 'secret'), join(root, 'link'))
  assert.throws(() => cutLog(join(root, 'link'), 10), { code: 'ELOOP' })
  assert.throws(() => readLog(join(root, 'link'), 10), { code: 'ELOOP' })
  assert.equal(readFileSync(join(root, 'secret'), 'utf8').length, 100)
})
