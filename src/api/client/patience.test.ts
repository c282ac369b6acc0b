import assert from 'node:assert/strict'
import { it } from 'node:test'
import { manualWorld } from '../../base/manual-world.ts'
import { TtError } from '../../model/errors.ts'
import { patiently } from './patience.ts'

const limited = new TtError({ code: 'limited', message: 'too often' })

/** A call that is refused so many times; how often it was made, and the time it took. */
async function tried(refusals: number, { limitMs = 8000, fault = limited, abortMs = Infinity } = {}) {
  const world = manualWorld()
  const controller = new AbortController()
  let calls = 0
  const attempt = async () => (++calls <= refusals ? Promise.reject(fault) : 'done')
  let over = false
  const answer = patiently(attempt, { world, limitMs, signal: controller.signal }).catch((thrown: TtError) => thrown.code).finally(() => (over = true))
  let ms = 0
  while (!over && ms < 60_000) {
    if (ms >= abortMs) controller.abort()
    await world.advance(100)
    if (!over) ms += 100
  }
  return { answer: await answer, calls, ms, timers: world.timers }
}

it('a call refused for coming too fast is made again after a second', async () => {
  assert.deepEqual(await tried(0), { answer: 'done', calls: 1, ms: 0, timers: 0 })
  assert.deepEqual(await tried(3), { answer: 'done', calls: 4, ms: 2900, timers: 0 })
})

it('it is given up when it would have waited longer than for an answer', async () => {
  assert.deepEqual(await tried(Infinity), { answer: 'limited', calls: 9, ms: 7900, timers: 0 })
  assert.deepEqual(await tried(Infinity, { limitMs: 500 }), { answer: 'limited', calls: 1, ms: 0, timers: 0 })
})

it('no other refusal is tried again, and whoever waits no more is not kept', async () => {
  assert.deepEqual(await tried(1, { fault: new TtError({ code: 'unavailable', message: 'gone' }) }), { answer: 'unavailable', calls: 1, ms: 0, timers: 0 })
  const { answer, ms } = await tried(Infinity, { abortMs: 1500 })
  assert.deepEqual([answer, ms < 2000], ['limited', true])
})
