import assert from 'node:assert/strict'
import { createCipheriv } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { manualWorld } from '../../../base/manual-world.ts'
import { noise } from '../files-ground.ts'
import { placeBytes, window } from './window.ts'

const mb = 1 << 20

function ground(sizeBytes = 8 * mb) {
  const dir = mkdtempSync(join(tmpdir(), 'tt-window-'))
  const path = join(dir, 'window')
  writeFileSync(path, '')
  truncateSync(path, sizeBytes)
  const world = manualWorld()
  return { path, world, own: window(async () => path, world), [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }) }
}

describe('the window of a guest', () => {
  it('gives each transfer places of its own, none at its ends, until there are none', async () => {
    using at = ground()
    const leases = (await Promise.all(Array.from({ length: 6 }, () => at.own.lease()))).filter((lease) => lease !== undefined)
    const places = leases.flatMap(({ places }) => places)
    assert.deepEqual(places.toSorted((a, b) => a - b), Array.from({ length: 12 }, (_, n) => mb + n * placeBytes))
    assert.equal(leases.length, 4)
    for (const lease of leases) await lease[Symbol.asyncDispose]()
  })
  it('gives places away again: at once when the guest is done with them, else after a while', async () => {
    using at = ground(3 * mb)
    const first = await at.own.lease()
    assert.equal(first?.places.length, 2)
    assert.equal(await at.own.lease(), undefined)
    first.settled()
    await first[Symbol.asyncDispose]()
    const second = await at.own.lease()
    assert.deepEqual(second?.places, first.places)
    await second?.[Symbol.asyncDispose]()
    assert.equal(await at.own.lease(), undefined, 'a guest that was cut off may still write there')
    await at.world.advance(10_000)
    const third = await at.own.lease()
    assert.deepEqual(third?.places, first.places)
    await third?.[Symbol.asyncDispose]()
  })
  it('is not used where there is none, where it is too small and once it is not trusted', async () => {
    using at = ground(2 * mb)
    assert.equal(await at.own.lease(), undefined)
    assert.equal(await window(async () => undefined, at.world).lease(), undefined)
    assert.equal(await window(async () => `${at.path}-gone`, at.world).lease(), undefined)
    assert.ok(!existsSync(`${at.path}-gone`))
    using other = ground()
    other.own.distrust()
    assert.equal(await other.own.lease(), undefined)
  })
  it('carries bytes in parts, and tags them as the AEAD of RFC 8439 does', async () => {
    using at = ground()
    await using lease = await at.own.lease()
    assert.ok(lease)
    const [place = 0] = lease.places
    const bytes = noise(300_000)
    await lease.write([bytes.subarray(0, 7), bytes.subarray(7, 200_000), bytes.subarray(200_000)], place)
    assert.ok((await lease.read(place, bytes.length)).equals(bytes))
    assert.ok(readFileSync(at.path).subarray(place, place + bytes.length).equals(bytes))
    const [one, two] = [lease.tag(), lease.tag()]
    one.add(bytes)
    for (const part of [bytes.subarray(0, 100_001), bytes.subarray(100_001)]) two.add(part)
    const tag = one.bytes()
    assert.deepEqual(two.bytes(), tag)
    assert.equal(tag.length, 16)
    const changed = Buffer.from(bytes)
    changed[299_999] = (changed[299_999] ?? 0) ^ 1
    const other = lease.tag()
    other.add(changed)
    assert.notDeepEqual(other.bytes(), tag)
    // The key is the one-time key that a cipher makes of its secret; nothing else gives the tag of an empty text: its second half plus nothing.
    assert.equal(lease.key.length, 32)
    assert.ok(createCipheriv('chacha20', Buffer.alloc(32), Buffer.alloc(16)).update(Buffer.alloc(32)).compare(lease.key) !== 0)
  })
  it('shorter than it was, it fails what reads it', async () => {
    using at = ground()
    await using lease = await at.own.lease()
    truncateSync(at.path, mb)
    await assert.rejects(lease?.read(mb, 100) ?? assert.fail(), /shorter/)
  })
})
