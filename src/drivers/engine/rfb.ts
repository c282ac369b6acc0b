import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Duplex } from 'node:stream'

/** The opening of the RFB protocol as a viewer speaks it, without a password and sharing the screen: RFC 6143, section 7. Gives what the server says of the screen. */
export async function rfbOpened(stream: Duplex): Promise<{ width: number; height: number; name: string }> {
  const take = async (bytes: number): Promise<Buffer> => {
    for (;;) {
      const got = stream.read(bytes) as Buffer | null
      if (got) return got
      assert.ok(!stream.destroyed && !stream.readableEnded, 'the screen has hung up')
      await Promise.race([once(stream, 'readable', { signal: AbortSignal.timeout(10_000) }), once(stream, 'close')])
    }
  }
  const version = (await take(12)).toString('latin1')
  assert.match(version, /^RFB 003\.00[378]\n$/)
  stream.write('RFB 003.008\n')
  const kinds = await take((await take(1))[0] ?? 0)
  assert.ok(kinds.includes(1), 'a viewer may come without a password: who may come at all is decided before')
  stream.write(Uint8Array.of(1))
  assert.equal((await take(4)).readUInt32BE(), 0)
  stream.write(Uint8Array.of(1)) // Shared.
  const init = await take(24)
  const name = (await take(init.readUInt32BE(20))).toString()
  return { width: init.readUInt16BE(0), height: init.readUInt16BE(2), name }
}
