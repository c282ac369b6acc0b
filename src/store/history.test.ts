import assert from 'node:assert/strict'
import { it } from 'node:test'
import { history } from './history.ts'
import { take } from './under-test.ts'

const change = (key: string) => [{ key, value: 1 }]

it('remembers no more than its limit of bytes, but always the last commit', async () => {
  const past = history({ revision: 5, limits: { commits: 100, bytes: 10 } })
  for (let at = 0; at < 5; at++) past.publish(change('a'), 4)
  assert.deepEqual(await take(past.watch('', 7), 2), [{ expired: true }])
  assert.deepEqual((await take(past.watch('', 8), 2)).map((batch) => !batch.expired && batch.revision), [9, 10])
  past.publish(change('b'), 1000)
  assert.deepEqual(await take(past.watch('', 9), 2), [{ expired: true }])
  assert.deepEqual(await take(past.watch('', 10), 1), [{ revision: 11, changes: change('b') }])
})

it('keeps a waiting reader current without waking it', async () => {
  const past = history({ revision: 0, limits: { commits: 10, bytes: 1000 } })
  const waiting = take(past.watch('a', 0), 1)
  await Promise.resolve()
  for (let at = 0; at < 50; at++) past.publish(change('b'), 1)
  past.publish(change('a'), 1)
  assert.deepEqual(await waiting, [{ revision: 51, changes: change('a') }])
})
