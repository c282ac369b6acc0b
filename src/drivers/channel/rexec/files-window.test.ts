import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { manualWorld } from '../../../base/manual-world.ts'
import { sha256 } from '../../../base/sha256.ts'
import { TtError } from '../../../model/errors.ts'
import { iterate, noise } from '../files-ground.ts'
import { intoWindow, outOfWindow } from './files-window.ts'
import { type Lease, placeBytes, window } from './window.ts'

const failed = (words: RegExp) => (error: unknown) => error instanceof TtError && error.code === 'failed' && words.test(error.message)

/** What is said of a piece, or of a place alone. */
const said = (...numbers: number[]) => {
  const bytes = Buffer.alloc(4 * numbers.length)
  numbers.forEach((number, at) => bytes.writeUInt32LE(number, at * 4))
  return bytes
}
const piece = (lease: Lease, at: number, bytes: Buffer) => {
  const tag = lease.tag()
  tag.add(bytes)
  return Buffer.concat([said(at, bytes.length), tag.bytes()])
}

async function leased() {
  const dir = mkdtempSync(join(tmpdir(), 'tt-window-'))
  const path = join(dir, 'window')
  writeFileSync(path, '')
  truncateSync(path, 8 << 20)
  const lease = (await window(async () => path, manualWorld()).lease()) ?? assert.fail()
  return {
    lease,
    async [Symbol.asyncDispose]() {
      await lease[Symbol.asyncDispose]()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

describe('bytes on their way into a guest by its window', () => {
  const bytes = noise(3 * placeBytes + 1000)
  const source = () => iterate([bytes.subarray(0, 10), bytes.subarray(10, 700_000), bytes.subarray(700_000)])
  const push = (lease: Lease, given: Partial<Omit<Parameters<typeof intoWindow>[1], 'distrust'>> = {}, distrust = () => {}) => intoWindow(lease, { distrust, bytes: source(), sizeBytes: bytes.length, sha256: sha256(bytes), path: '/f', ...given })
  /** The guest's side: every piece that is told, until the verdict; places go back as `done` says. */
  const received = async (lease: Lease, aside: ReturnType<typeof push>) => {
    const parts: Buffer[] = []
    for await (const record of aside.stdin) {
      const [at, length] = [Buffer.from(record).readUInt32LE(), Buffer.from(record).readUInt32LE(4)]
      if (length === 0) return { whole: Buffer.concat(parts), verdict: at }
      const own = await lease.read(at, length)
      assert.deepEqual(Buffer.from(record), piece(lease, at, own))
      parts.push(own)
      aside.output(said(at))
    }
    return { whole: Buffer.concat(parts), verdict: 0 }
  }

  it('come whole, in pieces as large as a place, and are judged', async () => {
    await using on = await leased()
    const { whole, verdict } = await received(on.lease, push(on.lease))
    assert.ok(whole.equals(bytes))
    assert.equal(verdict, 1)
  })
  it('that are not those that were announced are judged so', async () => {
    await using on = await leased()
    assert.equal((await received(on.lease, push(on.lease, { sha256: sha256('others') }))).verdict, 2)
  })
  it('that break off are told as far as they came, and not judged', async () => {
    await using on = await leased()
    const { whole, verdict } = await received(on.lease, push(on.lease, { sizeBytes: bytes.length + 1 }))
    assert.equal(verdict, 0)
    assert.ok(whole.equals(bytes))
  })
  it('wait for the guest when all places are full', async () => {
    await using on = await leased()
    const told = push(on.lease).stdin[Symbol.asyncIterator]()
    const places = []
    for (let n = 0; n < 3; n++) places.push(Buffer.from((await told.next()).value as Uint8Array).readUInt32LE())
    assert.equal(new Set(places).size, 3)
    let more = false
    const next = told.next().then(() => (more = true))
    await new Promise((resolve) => setTimeout(resolve, 50))
    assert.equal(more, false)
    next.catch(() => undefined)
  })
  it('a guest that gives back what it was not given is found out', async () => {
    await using on = await leased()
    const aside = push(on.lease)
    const told = aside.stdin[Symbol.asyncIterator]()
    const at = Buffer.from((await told.next()).value as Uint8Array).readUInt32LE()
    assert.throws(() => aside.output(said(12_345)), failed(/not its own/))
    aside.output(said(at).subarray(0, 3))
    aside.output(said(at).subarray(3))
    assert.throws(() => aside.output(said(at)), failed(/not its own/), 'twice')
  })
})

describe('bytes on their way out of a guest by its window', () => {
  const fetch = (lease: Lease) => {
    const heard: Buffer[] = []
    let distrusted = false
    const aside = outOfWindow(lease, { path: '/f', output: (bytes) => void heard.push(Buffer.from(bytes)), distrust: () => (distrusted = true) })
    return { aside, heard, isDistrusted: () => distrusted }
  }

  it('come whole, and their places go back to the guest', async () => {
    await using on = await leased()
    const { aside, heard } = fetch(on.lease)
    const places = aside.stdin[Symbol.asyncIterator]()
    const parts = [noise(placeBytes), noise(4096), noise(7), noise(placeBytes - 1), noise(1)]
    for (const bytes of parts) {
      const at = Buffer.from((await places.next()).value as Uint8Array).readUInt32LE()
      await on.lease.write([bytes], at)
      const record = piece(on.lease, at, bytes)
      aside.output(record.subarray(0, 5))
      aside.output(record.subarray(5))
    }
    await aside.done()
    assert.ok(Buffer.concat(heard).equals(Buffer.concat(parts)))
    assert.equal(aside.sha256(), sha256(Buffer.concat(parts)))
  })
  it('that are not those the guest tagged are not passed on', async () => {
    await using on = await leased()
    const { aside, heard, isDistrusted } = fetch(on.lease)
    const [at = 0] = on.lease.places
    await on.lease.write([noise(100)], at)
    aside.output(piece(on.lease, at, noise(101).subarray(1)))
    await assert.rejects(aside.done(), failed(/not those it sent/))
    assert.ok(failed(/not those it sent/)(aside.fault))
    assert.deepEqual([heard.length, isDistrusted()], [0, true])
    // The guest is given no place any more, but those it has.
    assert.equal((await Array.fromAsync(aside.stdin)).length, 3)
  })
  it('however slow the reader is, no more is under way than there are places, and its error is the one that counts', async () => {
    await using on = await leased()
    const go = Promise.withResolvers<void>()
    const passed: number[] = []
    const aside = outOfWindow(on.lease, {
      path: '/f',
      output: async (bytes) => {
        passed.push(bytes.length)
        await go.promise
        if (passed.length === 2) throw new Error('the reader is full')
      },
      distrust: () => assert.fail('the window is as it should be'),
    })
    const places = aside.stdin[Symbol.asyncIterator]()
    for (const size of [10, 20, 30]) {
      const at = Buffer.from((await places.next()).value as Uint8Array).readUInt32LE()
      await on.lease.write([noise(size)], at)
      aside.output(piece(on.lease, at, noise(size)))
    }
    let more = false
    const next = places.next().then(({ done }) => (more = !done))
    await new Promise((resolve) => setTimeout(resolve, 50))
    assert.deepEqual([more, passed], [false, [10]])
    go.resolve()
    await assert.rejects(aside.done(), /the reader is full/)
    await next
    assert.deepEqual([more, passed], [true, [10, 20]])
    assert.equal((aside.fault as Error).message, 'the reader is full')
  })
  it('a guest that tells of what cannot be is found out', async () => {
    await using on = await leased()
    const [at = 0] = on.lease.places
    for (const record of [said(at + 1, 10), said(at, 0), said(at, placeBytes + 1), said(0, 10), said(at, 0xffffffff)]) {
      const { aside, heard } = fetch(on.lease)
      assert.throws(() => aside.output(Buffer.concat([record, Buffer.alloc(16)])), failed(/cannot be/))
      assert.equal(heard.length, 0)
    }
    const { aside } = fetch(on.lease)
    await on.lease.write([noise(10)], at)
    const record = piece(on.lease, at, noise(10))
    aside.output(record)
    assert.throws(() => aside.output(record), failed(/cannot be/), 'its place is not free before the piece was passed on')
    await aside.done()
    aside.output(record)
    await aside.done()
  })
})
