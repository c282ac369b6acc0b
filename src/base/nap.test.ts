import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { manualWorld } from './manual-world.ts'
import { nap } from './nap.ts'

/** Whether the promise has resolved by now. */
function watched(promise: Promise<void>): { readonly over: boolean } {
  let over = false
  promise.then(() => (over = true)).catch(() => undefined)
  return {
    get over() {
      return over
    },
  }
}

describe('nap', () => {
  it('ends by itself, in its time', async () => {
    const world = manualWorld()
    const one = watched(nap(world).take(50))
    await world.advance(49)
    assert.equal(one.over, false)
    await world.advance(1)
    assert.equal(one.over, true)
  })
  it('is woken, and leaves no timer behind', async () => {
    const world = manualWorld()
    const rest = nap(world)
    const one = watched(rest.take(1000))
    rest.wake()
    await world.advance(0)
    assert.equal(one.over, true)
    assert.equal(world.timers, 0)
  })
  it('is not woken by what came before it', async () => {
    const world = manualWorld()
    const rest = nap(world)
    rest.wake()
    const one = watched(rest.take(10))
    await world.advance(9)
    assert.equal(one.over, false)
    await world.advance(1)
    const next = watched(rest.take(10))
    await world.advance(9)
    assert.deepEqual([one.over, next.over], [true, false])
    rest.wake()
    await world.advance(0)
    assert.equal(next.over, true)
  })
  it('ends with the signal, before and while it waits, and does not reject', async () => {
    const world = manualWorld()
    const calls = new AbortController()
    const one = watched(nap(world).take(1000, calls.signal))
    calls.abort(new Error('no more'))
    await nap(world).take(1000, calls.signal)
    await world.advance(0)
    assert.equal(one.over, true)
    assert.equal(world.timers, 0)
  })
})
