import assert from 'node:assert/strict'
import { test } from 'node:test'
import { jsonLog } from './log.ts'

const begun = Date.UTC(2026, 0, 1)

function heard(level?: 'debug' | 'info' | 'warn' | 'error') {
  const lines: string[] = []
  return { lines, log: jsonLog((line) => lines.push(line), () => begun, level) }
}

test('H16: a line is one JSON object with time, level, message, place in the code and the fields, the request’s among them', () => {
  const { log, lines } = heard()
  const here = Number(/:(\d+):\d+\)?$/m.exec(new Error().stack?.split('\n')[1] ?? '')?.[1])
  log.with({ request: 'r-1' }).warn('a "thing"\nhappened', { vm: 'demo.3' })
  assert.equal(lines.length, 1)
  assert.match(lines[0] ?? '', /^[^\n]+\n$/)
  assert.deepEqual(JSON.parse(lines[0] ?? ''), { at: '2026-01-01T00:00:00.000Z', level: 'warn', message: 'a "thing"\nhappened', place: `base/log.test.ts:${here + 1}`, request: 'r-1', vm: 'demo.3' })
})

test('H16: the place is that of the caller, also from a promise and a callback', async () => {
  const { log, lines } = heard()
  await Promise.resolve().then(() => log.info('later'))
  queueMicrotask(() => log.error('in a callback'))
  await Promise.resolve()
  for (const line of lines) assert.match((JSON.parse(line) as { place: string }).place, /^base\/log\.test\.ts:\d+$/)
  assert.equal(lines.length, 2)
})

test('the level may change while the log is used, for all that was made from it', () => {
  const { log, lines } = heard('warn')
  const child = log.with({ a: 1 }).with({ b: 2 })
  child.info('not heard')
  log.level = 'debug'
  child.debug('heard')
  log.level = 'error'
  child.warn('not heard')
  assert.deepEqual(lines.map((line) => (JSON.parse(line) as { message: string }).message), ['heard'])
})

test('lines are counted by level, wherever they came from, and only those that were written', () => {
  const { log } = heard('info')
  log.debug('a')
  log.info('b')
  log.with({}).error('c')
  log.with({}).error('d')
  assert.deepEqual(log.counts, { debug: 0, info: 1, warn: 0, error: 2 })
})
