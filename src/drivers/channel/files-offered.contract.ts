import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fetched, type FilesGround, isCode, iterate, listed, newFile, noise, put } from './files-ground.ts'

/** What an offer finds, and what gives way to a write. A part of `filesContract`. */
export function offers(ground: FilesGround): void {
  describe('what is there already', () => {
    it('nothing of it; all of it, and then it is given the mode', async () => {
      const path = `${await ground.fresh()}/f`
      const bytes = noise(100_000)
      assert.equal(await ground.files.offer(path, newFile(bytes)), 0)
      await put(ground.files, path, bytes, 0o600)
      assert.equal(await ground.files.offer(path, newFile(bytes, 0o755)), bytes.length)
      assert.deepEqual(await ground.files.stat(path), { path: '', type: 'file', mode: 0o755, sizeBytes: bytes.length })
      // Written once more it is as good.
      await ground.files.write(path, { ...newFile(bytes, 0o700), offset: 0 }, iterate([bytes]))
      assert.equal((await ground.files.stat(path))?.mode, 0o700)
    })
    it('[F12] something else is not overwritten, unless that is wished', async () => {
      const path = `${await ground.fresh()}/f`
      const [old, next] = [noise(1000), noise(1001).subarray(1)]
      await put(ground.files, path, old)
      await assert.rejects(ground.files.offer(path, newFile(next)), isCode('exists'))
      await assert.rejects(ground.files.write(path, { ...newFile(next), offset: 0 }, iterate([next])), isCode('exists'))
      assert.ok((await fetched(ground.files, path)).bytes.equals(old))
      assert.equal(await ground.files.offer(path, { ...newFile(next), overwrite: true }), 0)
      await ground.files.write(path, { ...newFile(next, 0o711), overwrite: true, offset: 0 }, iterate([next]))
      assert.ok((await fetched(ground.files, path)).bytes.equals(next))
      assert.equal((await ground.files.stat(path))?.mode, 0o711)
      assert.equal((await listed(ground.files, path.slice(0, -2))).length, 1)
    })
    it('a link is not followed: it gives way, and what it leads to stays', async () => {
      const dir = await ground.fresh()
      const [kept, next] = [noise(10), noise(20)]
      await put(ground.files, `${dir}/kept`, kept)
      await ground.files.makeLink(`${dir}/l`, { target: 'kept' })
      for (const bytes of [kept, next]) await assert.rejects(ground.files.offer(`${dir}/l`, newFile(bytes)), isCode('exists'))
      await put(ground.files, `${dir}/l`, next, 0o644, true)
      assert.deepEqual(await ground.files.stat(`${dir}/l`), { path: '', type: 'file', mode: 0o644, sizeBytes: 20 })
      assert.ok((await fetched(ground.files, `${dir}/kept`)).bytes.equals(kept))
      await ground.files.makeLink(`${dir}/l`, { target: 'kept', overwrite: true })
      assert.equal((await ground.files.stat(`${dir}/l`))?.type, 'link')
    })
    it('nor is one that leads to a directory, or nowhere', async () => {
      const dir = await ground.fresh()
      for (const target of ['.', 'nowhere']) {
        const path = `${dir}/to ${target}`
        await ground.files.makeLink(path, { target })
        await assert.rejects(ground.files.offer(path, newFile(noise(5))), isCode('exists'))
        await put(ground.files, path, noise(5), 0o644, true)
        assert.equal((await ground.files.stat(path))?.type, 'file')
      }
      assert.equal(await ground.files.stat(`${dir}/nowhere`), undefined)
    })
    it('the mode is exactly the one asked for', async () => {
      const dir = await ground.fresh()
      for (const mode of [0o400, 0o600, 0o666, 0o777, 0o4755, 0o7]) {
        await put(ground.files, `${dir}/${mode}`, noise(3), mode)
        assert.equal((await ground.files.stat(`${dir}/${mode}`))?.mode, mode)
      }
    })
  })
}
