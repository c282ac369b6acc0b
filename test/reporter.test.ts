import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'

const reporter = join(import.meta.dirname, 'reporter.ts')
let dir: string

/** Runs these test files as `npm test` would. */
function report(files: Record<string, string>, env: Record<string, string> = {}) {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), `import { describe, it, test } from 'node:test'\n${text}`)
  const { NODE_TEST_CONTEXT: _, ...own } = process.env
  const args = ['--test', `--test-reporter=${reporter}`, ...Object.keys(files)]
  const { status, stdout } = spawnSync(process.execPath, args, { cwd: dir, encoding: 'utf8', env: { ...own, TT_TEST_SECONDS: '0', TT_TEST_RESULTS: '', ...env }, timeout: 60_000 })
  return { status, text: stdout, last: stdout.trimEnd().split('\n').at(-1) }
}

before(() => {
  dir = mkdtempSync(join(tmpdir(), 'tt-reporter-'))
})
after(() => rmSync(dir, { recursive: true }))

test('passed and skipped tests are counted, groups are not, and each skip says why', () => {
  const { status, text, last } = report({ 'a.test.ts': `describe('group', () => { it('one', () => {}); it('two', { skip: 'no such tool' }, () => {}) })\ntest('three', (t) => t.skip('at run time'))` })
  assert.equal(last, '1 passed, 0 failed, 2 skipped')
  assert.match(text, /a\.test\.ts: group > two\n\s+no such tool\n/)
  assert.match(text, /a\.test\.ts: three\n\s+at run time\n/)
  assert.equal(status, 0)
})

test('a failure is shown in full, with what the file printed, and kept as JSON when asked for', () => {
  const results = join(dir, 'results/one.json')
  const { status, text, last } = report({ 'b.test.ts': `test('good', () => {})\ndescribe('g', () => it('bad', () => { console.log('a hint'); throw new Error('boom') }))` }, { TT_TEST_RESULTS: results })
  assert.equal(last, '1 passed, 1 failed, 0 skipped')
  assert.match(text, /FAIL b\.test\.ts: g > bad\n\s+Error: boom\n\s+at .*b\.test\.ts:3/)
  assert.match(text, /a hint/)
  assert.equal(status, 1)
  const kept = JSON.parse(readFileSync(results, 'utf8')) as { passed: number; failed: number; tests: { name: string; result: string }[] }
  assert.deepEqual([kept.passed, kept.failed, kept.tests.find(({ result }) => result === 'failed')?.name], [1, 1, 'g > bad'])
})

test('a file that dies, a file without tests and a run without tests fail', () => {
  const { status, text, last } = report({ 'c.test.ts': `test('ends', () => new Promise(() => setTimeout(() => process.exit(5), 300)))`, 'd.test.ts': '' })
  assert.equal(last, '0 passed, 2 failed, 0 skipped')
  assert.match(text, /FAIL c\.test\.ts\n\s+the file ended with exit status 5 during: ends/)
  assert.match(text, /FAIL d\.test\.ts\n\s+the file has no tests/)
  assert.equal(status, 1)

  const none = report({ 'e.test.ts': `test('later', { skip: 'never' }, () => {})` })
  assert.deepEqual([none.last, none.status], ['0 passed, 0 failed, 1 skipped', 1])
})

test('a run that takes too long is ended, and says which test was running', () => {
  const began = performance.now()
  const { status, text, last } = report({ 'f.test.ts': `test('quick', () => {})\ntest('endless', () => new Promise(() => setInterval(() => {}, 1000)))` }, { TT_TEST_SECONDS: '3' })
  assert.equal(last, '1 passed, 1 failed, 0 skipped')
  assert.match(text, /FAIL f\.test\.ts: endless\n\s+still running when the 3 s of a whole run were over/)
  assert.equal(status, 1)
  assert.ok(performance.now() - began < 30_000, 'by itself, not by whoever waits for it')
})
