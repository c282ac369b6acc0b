import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { sha256 } from '../base/sha256.ts'
import { asTtError } from '../model/errors.ts'
import type { FileEntry } from '../model/session.ts'
import { type Landing, landing } from './get-landing.ts'
import { rehearsedFiles } from './rehearsed-files.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const file = (path: string, text = 'x', more: Partial<FileEntry> = {}) => async (to: Landing) => {
  await to.entry({ path, type: 'file', mode: 0o644, sizeBytes: text.length, ...more }, 0)
  await to.bytes(bytes(text))
  await to.entryEnd(sha256(text))
}
const directory = (path: string, mode = 0o755) => (to: Landing) => to.entry({ path, type: 'directory', mode }, 0)
const link = (path: string, target: string) => (to: Landing) => to.entry({ path, type: 'link', mode: 0o777, target }, 0)
const done = (to: Landing) => to.done()

/** What a guest sends, put at `got` in a directory where other things are. */
async function landed(steps: ((to: Landing) => Promise<unknown>)[], { there = {}, overwrite = false }: { there?: Record<string, string>; overwrite?: boolean } = {}) {
  const files = rehearsedFiles({ 'etc/passwd': 'root', ...there })
  const to = landing(files, { target: 'got', overwrite })
  let code: string | undefined
  try {
    for (const step of steps) await step(to)
  } catch (thrown) {
    ;({ code } = asTtError(thrown))
    await to.leave()
  }
  return { code, files: files.texts(), stat: files.stat }
}

describe('what a guest sends is put where it belongs, and nowhere else', () => {
  it('a file, under its name only when it is whole', async () => {
    const { code, files } = await landed([file('', 'hello'), done])
    assert.deepEqual([code, files], [undefined, { 'etc/passwd': 'root', got: 'hello' }])
    const half = await landed([(to) => to.entry({ path: '', type: 'file', mode: 0o644 }, 0), (to) => to.bytes(bytes('hel')), done])
    assert.deepEqual([half.code, half.files], ['failed', { 'etc/passwd': 'root', '.tt-part-got': 'hel' }])
  })

  it('[F13] bytes with another sha256 are thrown away', async () => {
    const { code, files } = await landed([(to) => to.entry({ path: '', type: 'file', mode: 0o644 }, 0), (to) => to.bytes(bytes('evil')), (to) => to.entryEnd(sha256('good'))])
    assert.deepEqual([code, files], ['failed', { 'etc/passwd': 'root' }])
  })

  it('a directory, with links made last and the bits that lend rights taken away', async () => {
    const { code, files, stat } = await landed([directory('', 0o2755), link('l', '../etc'), directory('sub', 0o700), file('sub/run', '#!', { mode: 0o4755 }), done])
    assert.deepEqual([code, files], [undefined, { 'etc/passwd': 'root', 'got/sub/run': '#!', 'got/l': '-> ../etc' }])
    assert.deepEqual(Object.keys(files).slice(1), ['got/sub/run', 'got/l'])
    assert.deepEqual([(await stat('got'))?.mode, (await stat('got/sub'))?.mode, (await stat('got/sub/run'))?.mode], [0o755, 0o700, 0o755])
  })

  const bad: Record<string, ((to: Landing) => Promise<unknown>)[]> = {
    'a path above': [directory(''), file('../etc/passwd')],
    'a path of its own': [directory(''), file('/etc/passwd')],
    'dots inside': [directory(''), directory('a'), file('a/../../etc/passwd')],
    'a zero byte': [directory(''), file('a\0b')],
    'the name of a part': [directory(''), file('.tt-part-x')],
    'through a link': [directory(''), link('l', '../etc'), file('l/passwd')],
    'below a file': [directory(''), file('f'), file('f/x')],
    'before its directory': [directory(''), file('a/x')],
    'two things': [file('', 'a'), file('', 'b')],
    'something below a file that was asked for': [file('', 'a'), file('b')],
    'bytes of nothing': [(to) => to.bytes(bytes('x'))],
    'the end of nothing': [(to) => to.entryEnd(sha256('x'))],
    'nothing at all': [done],
    'the rest of what is not there': [(to) => to.entry({ path: '', type: 'file', mode: 0o644 }, 100)],
  }
  for (const [what, steps] of Object.entries(bad))
    it(`${what} is refused`, async () => {
      const { code, files } = await landed(steps)
      assert.equal(code, 'failed')
      assert.equal(files['etc/passwd'], 'root')
      assert.ok(Object.keys(files).every((path) => path === 'etc/passwd' || path.startsWith('.tt-part-got')), JSON.stringify(files))
    })

  it('a link that was left in a part by an earlier time is not written through', async () => {
    const files = rehearsedFiles({ 'etc/passwd': 'root' })
    await files.makeDirectory('.tt-part-got')
    await files.makeLink('.tt-part-got/sub', '../etc')
    const to = landing(files, { target: 'got', overwrite: false })
    for (const step of [directory(''), directory('sub'), file('sub/passwd', 'evil'), done]) await step(to)
    assert.deepEqual(files.texts(), { 'etc/passwd': 'root', 'got/sub/passwd': 'evil' })
  })

  it('[F12] what is there stays unless it may go; a directory is filled up', async () => {
    assert.deepEqual((await landed([file('', 'new'), done], { there: { got: 'mine' } })).code, 'exists')
    assert.equal((await landed([file('', 'new'), done], { there: { got: 'mine' }, overwrite: true })).files['got'], 'new')
    const filled = await landed([directory(''), file('a', 'new'), done], { there: { 'got/a': 'old', 'got/b': 'mine' }, overwrite: true })
    assert.deepEqual(filled.files, { 'etc/passwd': 'root', 'got/a': 'new', 'got/b': 'mine' })
    assert.equal((await landed([directory(''), file('a'), done], { there: { got: 'a file' }, overwrite: true })).code, 'exists')
  })
})
