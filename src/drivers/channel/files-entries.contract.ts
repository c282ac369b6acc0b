import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fetched, type FilesGround, isCode, listed, noise, put, unmoded } from './files-ground.ts'

const oddNames = ['two  blanks', ' ', '-rf', '--help', `it's`, '"quoted"', 'new\nline', 'tab\t', '$HOME', '*', '~', 'back\\slash', 'Übermaß', '日本語', '😀', 'a'.repeat(255), '%s%n', ';true', '.hidden', '...', '#']

/** What is at a path: names, modes, directories and links. A part of `filesContract`. */
export function entries(ground: FilesGround): void {
  describe('what is at a path', () => {
    it('is nothing, a file, a directory or a link', async () => {
      const dir = await ground.fresh()
      const { files } = ground
      assert.equal(await files.stat(`${dir}/nothing`), undefined)
      assert.equal(await files.stat(`${dir}/nothing/at/all`), undefined)
      await put(files, `${dir}/file`, noise(5), 0o640)
      await files.makeDirectory(`${dir}/directory`, 0o750)
      await files.makeLink(`${dir}/link`, { target: 'no such thing' })
      assert.deepEqual(await files.stat(`${dir}/file`), { path: '', type: 'file', mode: 0o640, sizeBytes: 5 })
      assert.deepEqual(await files.stat(`${dir}/directory`), { path: '', type: 'directory', mode: 0o750 })
      assert.deepEqual(unmoded(await files.stat(`${dir}/link`)), { path: '', type: 'link', target: 'no such thing' })
      assert.deepEqual(
        (await listed(files, dir)).map(unmoded),
        [
          { path: 'directory', type: 'directory' },
          { path: 'file', type: 'file', sizeBytes: 5 },
          { path: 'link', type: 'link', target: 'no such thing' },
        ],
      )
      assert.deepEqual(await listed(files, `${dir}/directory`), [])
    })
    it('[F11] has any name', async () => {
      const dir = await ground.fresh()
      for (const name of oddNames) {
        const bytes = Buffer.from(name)
        await put(ground.files, `${dir}/${name}`, bytes)
        assert.ok((await fetched(ground.files, `${dir}/${name}`)).bytes.equals(bytes), name)
      }
      assert.deepEqual((await listed(ground.files, dir)).map(({ path }) => path), oddNames.toSorted())
      const deep = `${dir}/${'x'.repeat(250)}`
      await ground.files.makeDirectory(deep, 0o755).then(() => ground.files.makeLink(`${deep}/ü`, { target: oddNames.join('') }))
      assert.equal((await ground.files.stat(`${deep}/ü`))?.target, oddNames.join(''))
    })
    it('are many in one directory', async () => {
      const dir = await ground.fresh()
      const names = Array.from({ length: 300 }, (_, n) => `${n}-${'n'.repeat(100)}`)
      for (let at = 0; at < names.length; at += 30) await Promise.all(names.slice(at, at + 30).map((name) => ground.files.makeLink(`${dir}/${name}`, { target: name })))
      assert.deepEqual((await listed(ground.files, dir)).map(({ path, target }) => [path, target]), names.toSorted().map((name) => [name, name]))
      // Who reads only the first ones leaves the rest.
      for await (const { type } of ground.files.list(dir)) {
        assert.equal(type, 'link')
        break
      }
      assert.equal(await ground.files.stat(`${dir}/none`), undefined)
    })
    it('a directory takes a mode, when it is made and later', async () => {
      const path = `${await ground.fresh()}/d`
      for (const mode of [0o700, 0o777, 0o755, 0o1777]) {
        await ground.files.makeDirectory(path, mode)
        assert.equal((await ground.files.stat(path))?.mode, mode)
      }
    })
    it('is found behind links, and `..` leads out of where they lead', async () => {
      const dir = await ground.fresh()
      const { files } = ground
      for (const name of ['real', 'real/deep']) await files.makeDirectory(`${dir}/${name}`, 0o755)
      await files.makeLink(`${dir}/short`, { target: 'real/deep' })
      await put(files, `${dir}/there`, Buffer.from('beside the link'))
      await put(files, `${dir}/short/../there`, Buffer.from('above the directory'))
      for (const path of ['real/there', 'short/../there', 'short/.././there', 'short//../../short/../there']) assert.equal((await fetched(files, `${dir}/${path}`)).bytes.toString(), 'above the directory', path)
      assert.equal((await fetched(files, `${dir}/there`)).bytes.toString(), 'beside the link')
      assert.deepEqual((await listed(files, `${dir}/short/..`)).map(({ path }) => path), ['deep', 'there'])
      assert.deepEqual([(await files.stat(`${dir}/short/..`))?.type, (await files.stat(`${dir}/short`))?.type], ['directory', 'link'])
    })
    it('a link may be made again, and another in its place if that is wished', async () => {
      const path = `${await ground.fresh()}/l`
      await ground.files.makeLink(path, { target: 'one' })
      await ground.files.makeLink(path, { target: 'one' })
      await assert.rejects(ground.files.makeLink(path, { target: 'two' }), isCode('exists'))
      assert.equal((await ground.files.stat(path))?.target, 'one')
      await ground.files.makeLink(path, { target: 'two', overwrite: true })
      assert.equal((await ground.files.stat(path))?.target, 'two')
    })
  })
}
