import assert from 'node:assert/strict'
import { test } from 'node:test'
import { latest } from './latest.ts'

test('a slow reader gets the newest only, and what is left before the end', async () => {
  const news = latest<number>()
  const seen: number[] = []
  news.tell(1)
  news.tell(2)
  for await (const one of news) {
    seen.push(one)
    if (one === 2) for (const more of [3, 4, 5]) news.tell(more)
    if (one === 5) {
      news.tell(6)
      news.end()
      news.tell(7)
    }
  }
  assert.deepEqual(seen, [2, 5, 6])
})

test('a reader that waits is woken by news and by the end', async () => {
  const news = latest<string>()
  const all = Array.fromAsync(news)
  await Promise.resolve()
  news.tell('a')
  await new Promise((resolve) => setImmediate(resolve))
  news.end()
  assert.deepEqual(await all, ['a'])
})
