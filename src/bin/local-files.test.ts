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
  assert.deepEqual([(await files.stat(on.at('link')))?.type, await files.targetOf(on.at('link'))], ['link', 'mine'])
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

test('names and links that are not UTF-8 are refused, and told as a shell takes them', async () => {
  using on = ground()
  for (const name of ['caf\u00e9', 'really \ufffd', 'z']) writeFileSync(on.at(name), '')
  assert.deepEqual(await files.list(on.dir), ['caf\u00e9', 'really \ufffd', 'z'])
  const bytes = (text: string) => Buffer.concat([Buffer.from(`${on.dir}/`), Buffer.from(text, 'latin1')])
  symlinkSync(Buffer.from("it's \xe9", 'latin1'), on.at('link'))
  assert.equal((await files.stat(on.at('link')))?.type, 'link', 'whoever does not ask where it leads may do with it what he likes')
  await assert.rejects(files.targetOf(on.at('link')), { code: 'invalid', message: `the link ${on.at('link')} leads to $'it\\x27s \\xe9', which is not UTF-8: it cannot be sent as it is` })
  writeFileSync(bytes('caf\xe9'), '')
  await assert.rejects(files.list(on.dir), { code: 'invalid', message: `${on.dir} holds a name that is not UTF-8: $'caf\\xe9'; it cannot be sent as it is`, remedy: /another name/ })
})

test('what `..` means behind a link is left to the system', async () => {
  using on = ground()
  mkdirSync(on.at('real/deep'), { recursive: true })
  symlinkSync('real/deep', on.at('link'))
  writeFileSync(on.at('real/f'), 'right')
  const above = on.at('link') + '/..'
  assert.deepEqual(await files.list(above), ['deep', 'f'])
  assert.equal((await files.stat(files.join(above, 'f')))?.sizeBytes, 5)
  assert.deepEqual([files.nameOf(above), files.nameOf(`${on.dir}/real/`), files.nameOf('/'), files.nameOf(`${on.dir}/none/..`)], ['real', 'real', '', on.dir.split('/').at(-1)])
  assert.deepEqual([files.join('.', 'a', 'b'), files.join('/', 'a'), files.join('x/', 'a'), files.join('../x', 'a')], ['a/b', '/a', 'x/a', '../x/a'])
})

test('what the system refuses names the path, in words', async () => {
  using on = ground()
  writeFileSync(on.at('file'), '')
  await assert.rejects(files.list(on.at('none')), { code: 'not_found', message: `${on.at('none')}: there is no such file or directory` })
  await assert.rejects(Array.fromAsync(files.read(on.dir)), { code: 'invalid', message: `${on.dir}: it is a directory` })
  await assert.rejects(files.open(on.at('file/below')), { code: 'invalid' })
  await files.remove(on.at('none'))
})
