import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noise } from '../files-ground.ts'
import { arriving } from './file-bytes.ts'
import type { Sftp } from './sftp.ts'

test('a file that grows while a slow reader takes it is read up to where it ended, and nothing is left out', async () => {
  const whole = noise(3 << 20)
  let size = (1 << 20) - 10_240
  const sftp = {
    open: async () => Buffer.of(1),
    close: async () => undefined,
    read: async (_: Buffer, at: number, length: number) => Buffer.from(whole.subarray(at, Math.min(at + length, size))),
  } as unknown as Sftp
  const heard: Buffer[] = []
  const end = await arriving(sftp, '/log', {
    from: 0,
    async output(bytes) {
      heard.push(bytes)
      await new Promise((resolve) => setImmediate(resolve))
      size += 200_000
    },
  })
  const all = Buffer.concat(heard)
  assert.equal(all.length, end)
  assert.ok(all.equals(whole.subarray(0, all.length)), 'something between is missing')
  assert.ok(all.length >= (1 << 20) - 10_240)
})
