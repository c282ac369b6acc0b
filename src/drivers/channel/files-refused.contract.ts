import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { GuestFiles } from './channel.ts'
import { fetched, type FilesGround, isCode, iterate, newFile, noise, put } from './files-ground.ts'

/** What cannot be done, and what is left then. A part of `filesContract`. */
export function refusals(ground: FilesGround): void {
  describe('files: refusals', () => {
    const bytes = noise(100)
    const write = (path: string, overwrite = false) => ground.files.write(path, { ...newFile(bytes), overwrite, offset: 0 }, iterate([bytes]))
    const offer = (path: string, overwrite = false) => ground.files.offer(path, { ...newFile(bytes), overwrite })

    const refusesReads = async (code: string, { file, directory }: { file: string; directory: string }) => {
      for (const read of [() => fetched(ground.files, file), () => ground.files.digest(file), () => Array.fromAsync(ground.files.list(directory))]) await assert.rejects(read, isCode(code))
    }

    it('what is not there is not_found', async () => {
      const path = `${await ground.fresh()}/none`
      const { files } = ground
      await refusesReads('not_found', { file: path, directory: path })
      for (const refused of [() => offer(`${path}/f`), () => write(`${path}/f`), () => files.makeDirectory(`${path}/d`, 0o755), () => files.makeLink(`${path}/l`, { target: 'x' })])
        await assert.rejects(refused, isCode('not_found'))
    })
    it('a directory where a file is wanted, and the other way round, is invalid', async () => {
      const dir = await ground.fresh()
      await put(ground.files, `${dir}/f`, bytes)
      await refusesReads('invalid', { file: dir, directory: `${dir}/f` })
      await assert.rejects(write(`${dir}/f/x`), isCode('invalid'))
    })
    it('[F12] a directory is never overwritten', async () => {
      const dir = await ground.fresh()
      for (const overwrite of [false, true]) {
        await assert.rejects(offer(dir, overwrite), isCode('exists'))
        await assert.rejects(write(dir, overwrite), isCode('exists'))
        await assert.rejects(ground.files.makeLink(dir, { target: 'x', overwrite }), isCode('exists'))
      }
      assert.equal((await ground.files.stat(dir))?.type, 'directory')
    })
    it('nothing else is overwritten by a directory, nor by a link that was not wished', async () => {
      const dir = await ground.fresh()
      await put(ground.files, `${dir}/f`, bytes)
      await ground.files.makeLink(`${dir}/l`, { target: '/' })
      for (const path of [`${dir}/f`, `${dir}/l`]) await assert.rejects(ground.files.makeDirectory(path, 0o700), isCode('exists'))
      await assert.rejects(ground.files.makeLink(`${dir}/f`, { target: 'x' }), isCode('exists'))
      assert.ok((await fetched(ground.files, `${dir}/f`)).bytes.equals(bytes))
    })
    it('paths that cannot be are invalid, whatever is asked', async () => {
      const dir = await ground.fresh()
      const bad = ['', 'relative', './x', `${dir}/zero\0byte`, `${dir}/${'n'.repeat(256)}`, `/${'x/'.repeat(3000)}f`]
      for (const path of bad) await refusesAll(ground.files, 'invalid', path)
    })
    it('modes, sizes and digests that cannot be are invalid', async () => {
      const path = `${await ground.fresh()}/f`
      const good = newFile(bytes)
      const bad = [{ mode: 0o10000 }, { mode: -1 }, { mode: 0.5 }, { sizeBytes: -1 }, { sizeBytes: 1.5 }, { sizeBytes: 2 ** 63 }, { sha256: 'x' }, { sha256: `${good.sha256}0` }]
      for (const part of bad) await assert.rejects(ground.files.offer(path, { ...good, ...part }), isCode('invalid'), JSON.stringify(part))
      await assert.rejects(ground.files.write(path, { ...good, offset: 101 }, iterate([])), isCode('invalid'))
      await assert.rejects(ground.files.makeDirectory(path, 0o100000), isCode('invalid'))
      for (const target of ['', 'a\0b', 'x'.repeat(5000)]) await assert.rejects(ground.files.makeLink(path, { target }), isCode('invalid'))
      assert.equal(await ground.files.stat(path), undefined)
    })
    it('fault 34: [F13] bytes with another sha256 are failed, and nothing is left', async () => {
      const path = `${await ground.fresh()}/f`
      for (const size of [1, 100, 300_000]) {
        const right = noise(size)
        const wrong = Buffer.from(right)
        wrong.writeUInt8(wrong.readUInt8(size - 1) ^ 1, size - 1)
        await assert.rejects(ground.files.write(path, { ...newFile(right), offset: 0 }, iterate([wrong])), isCode('failed'))
        assert.equal(await ground.files.stat(path), undefined)
        assert.equal(await ground.files.offer(path, newFile(right)), 0)
      }
      assert.deepEqual(await Array.fromAsync(ground.files.list(path.slice(0, -2))), [])
    })
    it('[F13] too few bytes, or too many, are failed and never under the name', async () => {
      const path = `${await ground.fresh()}/f`
      const file = { ...newFile(bytes), offset: 0 }
      await assert.rejects(ground.files.write(path, file, iterate([bytes.subarray(1)])), isCode('failed'))
      assert.equal(await ground.files.stat(path), undefined)
      await assert.rejects(ground.files.write(path, file, iterate([bytes, bytes])), isCode('failed'))
      assert.equal(await ground.files.stat(path), undefined)
      // Neither stands in the way of the right ones.
      await put(ground.files, path, bytes)
      assert.ok((await fetched(ground.files, path)).bytes.equals(bytes))
    })
    it('an offset beyond the end is invalid', async () => {
      const path = `${await ground.fresh()}/f`
      await put(ground.files, path, bytes)
      await assert.rejects(fetched(ground.files, path, 101), isCode('invalid'))
    })
    it('names its path', async () => {
      const path = `${await ground.fresh()}/none`
      await assert.rejects(fetched(ground.files, path), (error) => isCode('not_found')(error) && (error as { subject?: string }).subject === path)
    })
  })
}

/** One call of each kind, all of which are refused so. */
export const refusesAll = async (files: GuestFiles, code: string, path: string, signal?: AbortSignal): Promise<void> => {
  const settled = await Promise.allSettled([
    files.stat(path, { signal }),
    Array.fromAsync(files.list(path, { signal })),
    files.digest(path, {}, { signal }),
    files.read(path, { output: () => undefined }, { signal }),
    files.offer(path, newFile(noise(1)), { signal }),
    files.write(path, { ...newFile(noise(1)), offset: 0 }, iterate([noise(1)]), { signal }),
    files.makeDirectory(path, 0o755, { signal }),
    files.makeLink(path, { target: 'x' }, { signal }),
  ])
  settled.forEach((one, n) => assert.ok(one.status === 'rejected' && isCode(code)(one.reason), `call ${n} of '${path.slice(0, 50)}' is ${code}: ${JSON.stringify(one)}`))
}
