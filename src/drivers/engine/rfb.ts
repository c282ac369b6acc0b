import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { deadline, realWorld } from '../../base/world.ts'

/** The opening of the RFB protocol as a viewer speaks it, without a password and sharing the screen: RFC 6143, section 7. Gives what the server says of the screen. */
export async function rfbOpened(stream: Duplex): Promise<{ width: number; height: number; name: string }> {
  const take = async (bytes: number): Promise<Buffer> => {
    for (;;) {
      const got = stream.read(bytes) as Buffer | null
      if (got) return got
      expect(!stream.destroyed && !stream.readableEnded, 'the screen has hung up')
      using limit = deadline(realWorld, 10_000)
      await Promise.race([once(stream, 'readable', limit), once(stream, 'close')])
    }
  }
  const version = (await take(12)).toString('latin1')
  expect(/^RFB 003\.00[378]\n$/.test(version), `it begins with ${JSON.stringify(version)}`)
  stream.write('RFB 003.008\n')
  const kinds = await take((await take(1))[0] ?? 0)
  expect(kinds.includes(1), 'it wants a password: who may come at all is decided before')
  stream.write(Uint8Array.of(1))
  expect((await take(4)).readUInt32BE() === 0, 'it lets nobody in')
  stream.write(Uint8Array.of(1)) // Shared.
  const init = await take(24)
  const name = (await take(init.readUInt32BE(20))).toString()
  return { width: init.readUInt16BE(0), height: init.readUInt16BE(2), name }
}

function expect(holds: boolean, why: string): void {
  if (!holds) throw new Error(why)
}
