import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { describe, it } from 'node:test'
import { arrival } from './arrival.ts'

const numbers = () => arrival<number>({ reasonOf: (reason) => new Error(`given up: ${String(reason)}`) })

describe('arrival', () => {
  it('all who wait get it, in the order they came; who comes later waits for the next', async () => {
    const guest = numbers()
    const heard: string[] = []
    const early = ['a', 'b'].map(async (name) => heard.push(`${name}${await guest.wait()}`))
    assert.equal(guest.awaited, true)
    guest.give(1)
    assert.equal(guest.awaited, false)
    const late = guest.wait()
    await Promise.all(early)
    assert.deepEqual(heard, ['a1', 'b1'])
    guest.give(2)
    assert.equal(await late, 2)
  })
  it('all who wait are refused', async () => {
    const guest = numbers()
    const why = new Error('closed')
    const both = [guest.wait(), guest.wait()]
    guest.refuse(why)
    for (const one of both) await assert.rejects(one, why)
    assert.equal(guest.awaited, false)
  })
  it('one whose call ends leaves alone, with its reason', async () => {
    const guest = numbers()
    const calls = new AbortController()
    const [one, other] = [guest.wait(calls.signal), guest.wait()]
    calls.abort('too slow')
    await assert.rejects(one, /given up: too slow/)
    await assert.rejects(guest.wait(calls.signal), /given up: too slow/)
    assert.equal(guest.awaited, true)
    guest.give(3)
    assert.equal(await other, 3)
    assert.equal(guest.awaited, false)
  })
  it('leaves nothing on a signal that outlives the wait', async () => {
    const guest = numbers()
    const { signal } = new AbortController()
    const waits = [guest.wait(signal), guest.wait(signal)]
    assert.equal(getEventListeners(signal, 'abort').length, 2)
    guest.give(4)
    assert.deepEqual(await Promise.all(waits), [4, 4])
    assert.equal(getEventListeners(signal, 'abort').length, 0)
  })
})
