import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as v from 'valibot'
import { driverOptions } from './driver-options.ts'
import { TtError } from './errors.ts'

const schema = v.strictObject({ size: v.optional(v.pipe(v.number('a number'), v.minValue(1, 'at least 1')), 5), name: v.optional(v.string()) })

test('what is left out has its default', () => {
  assert.deepEqual(driverOptions('volume x', schema, {}), { size: 5 })
  assert.deepEqual(driverOptions('volume x', schema, { size: 7, name: 'a' }), { size: 7, name: 'a' })
})

test('what is wrong is named, with its driver and what is allowed', () => {
  for (const [options, message] of [
    [{ size: 0 }, 'options of volume x: size is "0", allowed is at least 1'],
    [{ size: '7' }, 'options of volume x: size is "7", allowed is a number'],
    [{ sise: 7 }, 'options of volume x: sise is none of its fields'],
    [undefined, /^options of volume x: it is/],
  ] as const)
    assert.throws(
      () => driverOptions('volume x', schema, options),
      (fault) => {
        assert(fault instanceof TtError && fault.code === 'invalid')
        if (typeof message === 'string') assert.equal(fault.message, message)
        else assert.match(fault.message, message)
        return true
      },
    )
})
