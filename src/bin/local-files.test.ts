import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { localFiles as files } from './local-files.ts'

function ground() {
  const dir = mkdtempSync(join(tmpdir(), 'tt-local-files-'))
  return { at: (name: string) => join(dir, name), dir, [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }) }
}

test('a file that grows is readable by its owner only, goes on behind what is there, and can be cut', async () => {
  using on = ground()
  const first = await files.open(on.at('part'))
  await first.write(Buffer.from('hello '))
  await first.close()
  assert.equal(statSync(on.at('part')).mode & 0o777, 0o600)
  const second = await files.open(on.at('part'))
  assert.equal(second.sizeBytes, 6)
  await second.cut(5)
  await second.write(Buffer.from('!'))
  await second.close()
  assert.equal(readFileSync(on.at('part'), 'utf8'), 'hello!')
  assert.equal(Buffer.concat(await Array.fromAsync(files.read(on.at('part'), 4))).toString(), 'o!')
})

test('nothing is written through a link, and a link is told from what it leads to', async () => {
  using on = ground()
  writeFileSync(on.at('mine'), 'mine')
  symlinkSync('mine', on.at('link'))
  await assert.rejects(files.open(on.at('link')), { code: 'invalid', message: /link: it is a link/ })
  assert.deepEqual(await files.stat(on.at('link')).then((thing) => [thing?.type, thing?.target]), ['link', 'mine'])
  assert.equal((await files.stat(on.at('link'), { follow: true }))?.type, 'file')
  assert.equal((await files.stat('/dev/null'))?.type, 'other')
  assert.equal(await files.stat(on.at('none/below')), undefined)
})

test('[F12] a new name takes the place of nothing, unless that is said, and then at once', async () => {
  using on = ground()
  for (const name of ['a', 'b']) writeFileSync(on.at(name), name)
  await assert.rejects(files.rename(on.at('a'), on.at('b'), { overwrite: false }), { code: 'exists' })
  assert.equal(readFileSync(on.at('b'), 'utf8'), 'b')
  await files.rename(on.at('a'), on.at('c'), { overwrite: false })
  await files.rename(on.at('c'), on.at('b'), { overwrite: true })
  assert.deepEqual([readdirSync(on.dir), readFileSync(on.at('b'), 'utf8')], [['b'], 'a'])
  mkdirSync(on.at('one/sub'), { recursive: true })
  mkdirSync(on.at('two'))
  await assert.rejects(files.rename(on.at('one'), on.at('two'), { overwrite: false }), { code: 'exists' })
  await files.rename(on.at('one'), on.at('three'), { overwrite: false })
  assert.deepEqual(readdirSync(on.at('three')), ['sub'])
})

test('what the system refuses names the path, in words', async () => {
  using on = ground()
  writeFileSync(on.at('file'), '')
  await assert.rejects(files.list(on.at('none')), { code: 'not_found', message: `${on.at('none')}: there is no such file or directory` })
  await assert.rejects(Array.fromAsync(files.read(on.dir)), { code: 'invalid', message: `${on.dir}: it is a directory` })
  await assert.rejects(files.open(on.at('file/below')), { code: 'invalid' })
  await files.remove(on.at('none'))
})
