import assert from 'node:assert/strict'
import { it } from 'node:test'
import { manualWorld } from './manual-world.ts'

it('runs timers at their times, in order, with all that follows from each before the next', async () => {
  const world = manualWorld()
  const log: string[] = []
  const say = (what: string) => log.push(`${what} at ${world.ticks()}`)
  world.after(20, () => say('b'))
  world.after(10, () => {
    say('a')
    world.after(5, () => say('set by a'))
  })
  world.after(20, () => say('c'))
  const sleeper = async () => {
    for (let at = 0; at < 20; at++) await Promise.resolve()
    await world.sleep(20)
    for (let at = 0; at < 20; at++) await Promise.resolve()
    say('slept')
    await world.sleep(0)
    say('slept again')
  }
  const slept = sleeper()
  world.after(30, () => say('late'))()
  await world.advance(19)
  assert.deepEqual(log, ['a at 10', 'set by a at 15'])
  await world.advance(31)
  assert.deepEqual(log.slice(2), ['b at 20', 'c at 20', 'slept at 20', 'slept again at 20'])
  await slept
  assert.deepEqual([world.ticks(), world.timers], [50, 0])
})

it('runs what fell due in a sleep of the process late, at the next chance', async () => {
  const world = manualWorld()
  const seen: number[] = []
  world.after(10, () => seen.push(world.ticks()))
  world.after(200, () => seen.push(world.ticks()))
  world.oversleep(100)
  assert.deepEqual(seen, [])
  await world.advance(0)
  assert.deepEqual(seen, [100])
  await world.advance(100)
  assert.deepEqual(seen, [100, 200])
})

it('ends a sleep with its signal, before and during it', async () => {
  const world = manualWorld()
  const controller = new AbortController()
  const sleep = world.sleep(10, controller.signal)
  controller.abort(new Error('enough'))
  await assert.rejects(sleep, /enough/)
  await assert.rejects(world.sleep(10, controller.signal), /enough/)
  assert.equal(world.timers, 0)
})

it('has dice that follow from the seed', () => {
  const throws = (seed: number) => [...manualWorld(seed).random(4000)]
  assert.deepEqual(throws(3), throws(3))
  assert.notDeepEqual(throws(3), throws(4))
  const counts = throws(5).reduce((all, byte) => all.set(byte >> 4, (all.get(byte >> 4) ?? 0) + 1), new Map<number, number>())
  for (let of = 0; of < 16; of++) assert.ok((counts.get(of) ?? 0) > 150, `${counts.get(of)} of 4000 begin with ${of}`)
})

it('has a wall clock that may jump without the ticks', async () => {
  const world = manualWorld()
  world.setClock(Date.UTC(2030, 0, 1))
  await world.advance(1500)
  assert.deepEqual([new Date(world.now()).toISOString(), world.ticks()], ['2030-01-01T00:00:01.500Z', 1500])
})
