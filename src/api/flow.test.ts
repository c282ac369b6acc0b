import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { pieceBytes, pieces, receiveWindow, sendWindow, windowBytes } from './flow.ts'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

describe('flow control', () => {
  it('lets a sender go as far as its window, and on when the reader has read', async () => {
    const window = sendWindow()
    let sent = 0
    const sender = (async () => {
      for (let at = 0; at < 100; at++) {
        await window.take(pieceBytes)
        sent += pieceBytes
      }
    })()
    await turn()
    assert.equal(sent, windowBytes)
    const reader = receiveWindow((bytes) => window.give(bytes))
    let read = 0
    while (read < 100 * pieceBytes) {
      const before = sent
      for (; read < before; read += pieceBytes) {
        reader.arrived(pieceBytes)
        reader.consumed(pieceBytes)
      }
      await turn()
      assert.ok(sent - read <= windowBytes)
    }
    await sender
  })

  it('never stands still while the reader reads, whatever the sizes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: pieceBytes + 300 }), { minLength: 1, maxLength: 200 }), async (sizes) => {
        const window = sendWindow()
        const reader = receiveWindow((bytes) => window.give(bytes))
        for (const size of sizes) {
          await window.take(size)
          reader.arrived(size)
          reader.consumed(size)
        }
      }),
    )
  })

  it('notices a sender that does not heed it', () => {
    const reader = receiveWindow(() => undefined)
    assert.throws(() => {
      for (let at = 0; at < 100; at++) reader.arrived(pieceBytes)
    }, { code: 'too_large' })
  })

  it('lets a sender that waits go when the session is over', async () => {
    const window = sendWindow()
    await window.take(windowBytes)
    const waiting = window.take(1)
    window.close()
    await assert.rejects(waiting, { code: 'unavailable' })
    await assert.rejects(window.take(1), { code: 'unavailable' })
  })

  it('cuts data into pieces that make it whole', () => {
    for (const size of [0, 1, pieceBytes, pieceBytes + 1, 3 * pieceBytes + 7]) {
      const data = Uint8Array.from({ length: size }, (_, at) => at)
      const all = [...pieces(data)]
      assert.ok(all.every(({ length }) => length > 0 && length <= pieceBytes))
      assert.deepEqual(Buffer.concat(all), Buffer.from(data))
    }
  })
})
