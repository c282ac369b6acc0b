import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isPrefix } from './prefixes.ts'

test('addresses and prefixes are told from everything else', () => {
  for (const text of ['10.0.0.1', '0.0.0.0/0', '10.0.0.0/8', '192.168.1.128/25', '255.255.255.255/32']) assert.ok(isPrefix(text), text)
  for (const text of ['', '10.0.0', '10.0.0.256', '10.0.0.1/8', '10.0.0.0/33', '010.0.0.1', '10.0.0.0/', 'fe80::1', '10.0.0.0/8 ', '10.0.0.0; drop']) assert.ok(!isPrefix(text), text)
})
