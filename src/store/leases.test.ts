import assert from 'node:assert/strict'
import { it } from 'node:test'
import { manualWorld } from '../base/manual-world.ts'
import { errorOf } from '../model/errors.ts'
import { type Backend, withLeases } from './leases.ts'
import { memoryStore } from './memory.ts'

/** A backend that cannot end leases for a while, as when its disk is full. */
function stuck() {
  const world = manualWorld()
  const ended: string[] = []
  const state = { full: true }
  const backend: Backend = {
    ...memoryStore({ world }),
    async endLease(id) {
      if (state.full) throw errorOf({ code: 'exhausted', message: 'no space' })
      ended.push(id)
    },
  }
  return { world, ended, state, store: withLeases(backend, world) }
}

it('tries until the keys of an ended lease could be removed', async () => {
  const { world, ended, state, store } = stuck()
  const [disposed, lost] = [await store.lease(10), await store.lease(10)]
  await assert.rejects(async () => disposed[Symbol.asyncDispose](), { code: 'exhausted' })
  world.oversleep(10_000)
  await world.advance(5_000)
  assert.equal(lost.lost.aborted, true)
  assert.deepEqual(ended, [])
  state.full = false
  await world.advance(1_000)
  assert.deepEqual(new Set(ended), new Set([disposed.id, lost.id]))
  await world.advance(10_000)
  assert.equal(ended.length, 2)
  assert.equal(world.timers, 0)
})

it('leaves no timer behind when the store closes', async () => {
  const { world, store } = stuck()
  const lease = await store.lease(10)
  await assert.rejects(async () => lease[Symbol.asyncDispose](), { code: 'exhausted' })
  await store.lease(10)
  await store[Symbol.asyncDispose]()
  assert.equal(world.timers, 0)
})
