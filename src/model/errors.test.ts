import assert from 'node:assert/strict'
import { test } from 'node:test'
import { asTtError, errorCodes, errorOf, fail, problemOf, TtError } from './errors.ts'

test('an error survives the wire', () => {
  try {
    fail('exhausted', 'not enough memory', { subject: 'env/demo', remedy: 'ask for less' })
  } catch (error) {
    const back = errorOf(JSON.parse(JSON.stringify(problemOf(error))))
    assert.deepEqual(problemOf(back), problemOf(error))
  }
})

test('a problem of unknown make becomes internal and never throws', () => {
  for (const strange of [{}, { code: 'nonsense' }, { code: 'toString' }]) assert.equal(errorOf(strange as object).code, 'internal')
})

test('aborts and time-outs have codes of their own', () => {
  assert.equal(asTtError(new DOMException('x', 'AbortError')).code, 'cancelled')
  assert.equal(asTtError(new DOMException('x', 'TimeoutError')).code, 'timeout')
  assert.equal(asTtError('text').code, 'internal')
  const mine = new TtError({ code: 'exists', message: 'm' })
  assert.equal(asTtError(mine), mine)
})

test('every code has an exit status of its own, none is 0, and only `internal` is 1', () => {
  const exits = Object.values(errorCodes).map(({ exit }) => exit)
  assert.equal(new Set(exits).size, exits.length)
  assert.ok(exits.every((exit) => exit > 0 && exit < 20))
  assert.equal(errorCodes.internal.exit, 1)
})

test('what the machine lacks has a code and a remedy, also as the cause of another fault; an unknown fault is internal', () => {
  const fault = (code: string, syscall = 'write') => Object.assign(new Error(`${code}: the system said so`), { code, syscall })
  const codes = { ENOSPC: 'exhausted', EDQUOT: 'exhausted', EROFS: 'unavailable', EMFILE: 'unavailable', ENFILE: 'unavailable', ENOMEM: 'unavailable', EACCES: 'internal', constructor: 'internal' }
  for (const [errno, code] of Object.entries(codes)) {
    for (const thrown of [fault(errno), new Error('above', { cause: fault(errno) })]) {
      const error = asTtError(thrown)
      assert.equal(error.code, code, errno)
      assert.equal(error.remedy !== undefined, code !== 'internal')
      assert.ok(error.message.endsWith(thrown.message))
    }
  }
  assert.equal(asTtError(fault('EAGAIN', 'spawn sh')).code, 'unavailable')
  assert.equal(asTtError(fault('EAGAIN', 'read')).code, 'internal')
})
