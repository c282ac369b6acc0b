import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rehearse } from '../rehearsal.ts'

test('an image for another processor is built under the name RECIPE-ARCH, and amd64 is the recipe itself', async () => {
  const asked = async (...args: string[]) => (await rehearse(['image', 'build', 'micro', ...args], {})).cloud.opened
  assert.deepEqual(await asked('--arch', 's390x'), [{ type: 'build', image: 'micro-s390x' }])
  assert.deepEqual(await asked('--arch', 'amd64'), [{ type: 'build', image: 'micro' }])
  assert.deepEqual(await asked(), [{ type: 'build', image: 'micro' }])
  assert.deepEqual(await asked('--arch', 'vax'), [])
})
