import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { sha256 } from '../../base/sha256.ts'
import { TtError } from '../../model/errors.ts'
import { fetched, type FilesGround, isCode, iterate, newFile, noise, put } from './files-ground.ts'
import { refusesAll } from './files-refused.contract.ts'

/** What breaks off in the middle, and goes on from there. A part of `filesContract`. */
export function interruptions(ground: FilesGround): void {
  describe('files: what breaks off', () => {
    const bytes = noise(3_000_000)
    const file = newFile(bytes, 0o640)

    /** Gives the bytes in pieces, and calls `then` when more than two thirds were asked for. */
    async function* until(from: number, then: () => unknown): AsyncIterable<Uint8Array> {
      for (let at = from; at < bytes.length; at += 50_000) {
        if (at > 2_000_000) await then()
        yield bytes.subarray(at, at + 50_000)
      }
    }
    /** Writes the rest, whose first bytes are not sent again. */
    const resume = async (path: string) => {
      const offset = await ground.files.offer(path, file)
      assert.ok(offset > 0 && offset <= bytes.length, `${offset} bytes are there`)
      let sent = 0
      const rest = async function* () {
        for await (const piece of until(offset, () => undefined)) {
          sent += piece.length
          yield piece
        }
      }
      await ground.files.write(path, { ...file, offset }, rest())
      assert.equal(sent, bytes.length - offset)
      assert.ok((await fetched(ground.files, path)).bytes.equals(bytes))
      assert.equal((await ground.files.stat(path))?.mode, 0o640)
      const left = await Array.fromAsync(ground.files.list(path.slice(0, path.lastIndexOf('/'))))
      assert.equal(left.length, 1, 'nothing else is left')
    }

    it('[F13] a writer that fails: its own error, nothing under the name, and it goes on where it was', async () => {
      const path = `${await ground.fresh()}/f`
      const fault = new Error('the source is no more')
      const broken = until(0, () => Promise.reject(fault))
      await assert.rejects(ground.files.write(path, { ...file, offset: 0 }, broken), fault)
      assert.equal(await ground.files.stat(path), undefined)
      const other = noise(2_999_999)
      assert.equal(await ground.files.offer(path, newFile(other)), 0)
      assert.equal(await ground.files.offer(`${path}2`, file), 0)
      await resume(path)
    })
    it('[F13] a write that is aborted goes on where it was', async () => {
      const path = `${await ground.fresh()}/f`
      const calls = new AbortController()
      const writing = ground.files.write(path, { ...file, offset: 0 }, until(0, () => calls.abort()), { signal: calls.signal })
      await assert.rejects(writing, isCode('cancelled'))
      assert.equal(await ground.files.stat(path), undefined)
      await resume(path)
    })
    it('it may begin anew, too', async () => {
      const path = `${await ground.fresh()}/f`
      await assert.rejects(ground.files.write(path, { ...file, offset: 0 }, until(0, () => Promise.reject(new Error('no more')))), /no more/)
      await ground.files.write(path, { ...file, offset: 0 }, iterate([bytes]))
      assert.ok((await fetched(ground.files, path)).bytes.equals(bytes))
    })
    it('bytes that were spoiled meanwhile are found out at the end', async () => {
      const path = `${await ground.fresh()}/f`
      const spoiled = async function* () {
        const first = Buffer.from(bytes.subarray(0, 2_000_000))
        first.writeUInt8(first.readUInt8(7) ^ 1, 7)
        yield first
        throw new Error('no more')
      }
      await assert.rejects(ground.files.write(path, { ...file, offset: 0 }, spoiled()), /no more/)
      const offset = await ground.files.offer(path, file)
      assert.ok(offset > 0)
      await assert.rejects(ground.files.write(path, { ...file, offset }, iterate([bytes.subarray(offset)])), isCode('failed'))
      assert.equal(await ground.files.stat(path), undefined)
      assert.equal(await ground.files.offer(path, file), 0)
    })
    it('what is there already stays until the new is whole', async () => {
      const path = `${await ground.fresh()}/f`
      const old = noise(1000)
      await put(ground.files, path, old)
      await assert.rejects(ground.files.write(path, { ...file, overwrite: true, offset: 0 }, until(0, () => Promise.reject(new Error('no more')))), /no more/)
      assert.ok((await fetched(ground.files, path)).bytes.equals(old))
      const offset = await ground.files.offer(path, { ...file, overwrite: true })
      assert.ok(offset > 0)
      await ground.files.write(path, { ...file, overwrite: true, offset }, iterate([bytes.subarray(offset)]))
      assert.equal((await fetched(ground.files, path)).sha256, file.sha256)
    })
    it('a read that is aborted ends, with the reason it was given', async () => {
      const path = `${await ground.fresh()}/f`
      await put(ground.files, path, bytes)
      const reason = new TtError({ code: 'timeout', message: 'too slow' })
      const calls = new AbortController()
      await assert.rejects(ground.files.read(path, { output: () => calls.abort(reason) }, { signal: calls.signal }), reason)
      const fault = new Error('the reader is full')
      await assert.rejects(ground.files.read(path, { output: () => Promise.reject(fault) }), fault)
      await assert.rejects(
        ground.files.read(path, {
          output: () => {
            throw fault
          },
        }),
        fault,
      )
      assert.equal(await ground.files.digest(path), sha256(bytes))
    })
    it('what is aborted before the start is not begun', async () => {
      const path = `${await ground.fresh()}/f`
      await refusesAll(ground.files, 'cancelled', path, AbortSignal.abort())
      assert.equal(await ground.files.stat(path), undefined)
    })
    it('[F13] when the stream breaks both ways are unavailable, and a write goes on where it was', async (t) => {
      const interrupt = ground.under.interrupt?.bind(ground.under)
      if (!interrupt) return t.skip('its stream cannot be broken from outside')
      const dir = await ground.fresh()
      await put(ground.files, `${dir}/there`, bytes)
      await assert.rejects(ground.files.read(`${dir}/there`, { output: () => void Promise.resolve(interrupt()) }), isCode('unavailable'))
      await ground.under.channel.ready({ signal: AbortSignal.timeout(20_000) })
      const path = `${await ground.fresh()}/f`
      await assert.rejects(ground.files.write(path, { ...file, offset: 0 }, until(0, interrupt)), isCode('unavailable'))
      await ground.under.channel.ready({ signal: AbortSignal.timeout(20_000) })
      assert.equal(await ground.files.stat(path), undefined)
      await resume(path)
    })
  })
}
