import assert from 'node:assert/strict'
import { test } from 'node:test'
import { overlap } from './session-serial.ts'

test('what a line begins with is not shown again if its past ended with it', () => {
  for (const [past, next, length] of [['boot\r\nlogin: ', 'login: ann', 7], ['boot', 'login', 0], ['', 'x', 0], ['x', '', 0], ['abc', 'abc', 3], ['bc', 'abc', 0], ['aab', 'aabaab', 3]] as const)
    assert.equal(overlap(Buffer.from(past), Buffer.from(next)), length, `${past} | ${next}`)
})
