import assert from 'node:assert/strict'
import { test } from 'node:test'
import { manualWorld } from '../base/manual-world.ts'
import { progress } from './progress.ts'
import type { Screen, Terminal } from './terminal.ts'

function stage(screen?: Screen) {
  const world = manualWorld()
  const written: string[] = []
  const terminal = { world, err: { write: async (text: string) => void written.push(text), screen: () => screen } } as unknown as Terminal
  return { world, written, terminal }
}

test('without a screen there is a line for news after a second, one a second at most, and none for the same', async () => {
  const { world, written, terminal } = stage()
  const bar = progress({ terminal, quiet: false, json: false })
  for (let at = 0; at < 300; at++) {
    bar.show(`${at} of 300`)
    await world.advance(10)
  }
  await world.advance(5000)
  await bar[Symbol.asyncDispose]()
  assert.deepEqual(written, ['99 of 300\n', '199 of 300\n', '299 of 300\n'])
})

test('on a screen one line is written anew, counts the seconds, and is wiped', async () => {
  const { world, written, terminal } = stage({ columns: 20, colour: false })
  const bar = progress({ terminal, quiet: false, json: false })
  bar.show('a\x1b[2J')
  await world.advance(2600)
  bar.show('something that is long')
  await world.advance(50)
  bar.show('b')
  await world.advance(200)
  await bar[Symbol.asyncDispose]()
  await world.advance(5000)
  assert.deepEqual(written, ['\ra\\x1b[2J, 0 s\x1b[K', '\ra\\x1b[2J, 1 s\x1b[K', '\ra\\x1b[2J, 2 s\x1b[K', '\rb, 2 s\x1b[K', '\r\x1b[K'])
})

test('news that come faster than they are drawn do not put the drawing off', async () => {
  const { world, written, terminal } = stage({ columns: 40, colour: false })
  const bar = progress({ terminal, quiet: false, json: false })
  for (let at = 0; at < 100; at++) {
    bar.show(`${at} of 100`)
    await world.advance(10)
  }
  await bar[Symbol.asyncDispose]()
  assert.equal(written.length, 11)
})

test('with --json a screen still has it', async () => {
  const { world, written, terminal } = stage({ columns: 20, colour: false })
  const bar = progress({ terminal, quiet: false, json: true })
  bar.show('a')
  await world.advance(100)
  await bar[Symbol.asyncDispose]()
  assert.deepEqual(written, ['\ra, 0 s\x1b[K', '\r\x1b[K'])
})

test('nothing with -q, and nothing in a file with --json', async () => {
  for (const parts of [{ quiet: true, json: false }, { quiet: false, json: true }]) {
    const { written, terminal, world } = stage()
    const bar = progress({ terminal, ...parts })
    bar.show('a')
    await world.advance(5000)
    await bar[Symbol.asyncDispose]()
    assert.deepEqual([written, world.timers], [[], 0])
  }
})
