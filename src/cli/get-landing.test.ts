import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { sha256 } from '../base/sha256.ts'
import { asTtError, fail } from '../model/errors.ts'
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
  let [code, remedy]: (string | undefined)[] = []
  try {
    for (const step of steps) await step(to)
  } catch (thrown) {
    ;({ code, remedy } = asTtError(thrown))
    await to.leave()
  }
  return { code, remedy, files: files.texts(), stat: files.stat }
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

  it('what is in the way is told with what helps: nothing takes the place of a directory, and a directory of nothing', async () => {
    const remedies = async (steps: ((to: Landing) => Promise<unknown>)[], there: Record<string, string>) => [(await landed(steps, { there })).remedy, (await landed(steps, { there, overwrite: true })).remedy].map((remedy) => (remedy === undefined ? 'done' : (/--overwrite to [a-z ]*|nothing takes the place of a directory, and a directory of nothing/.exec(remedy)?.[0] ?? remedy)))
    const never = 'nothing takes the place of a directory, and a directory of nothing'
    assert.deepEqual(await remedies([file(''), done], { got: 'mine' }), ['--overwrite to take its place', 'done'])
    assert.deepEqual(await remedies([directory(''), done], { 'got/mine': 'mine' }), ['--overwrite to fill it up', 'done'])
    assert.deepEqual(await remedies([directory(''), done], { got: 'mine' }), [never, never])
    assert.deepEqual(await remedies([file(''), done], { 'got/mine': 'mine' }), [never, never])
    assert.deepEqual((await remedies([directory(''), file('a'), done], { 'got/a/mine': 'mine' }))[1], never)
  })

  it('what broke off before anything came leaves nothing, and otherwise what came', async () => {
    const broken = async (...steps: ((to: Landing) => Promise<unknown>)[]) => {
      const { code, files, stat } = await landed([...steps, () => fail('denied', 'the guest does not permit it')])
      assert.equal(code, 'denied')
      return [Object.keys(files).slice(1), (await stat('.tt-part-got')) !== undefined]
    }
    const begun = (path: string) => (to: Landing) => to.entry({ path, type: 'file', mode: 0o644, sizeBytes: 5 }, 0)
    assert.deepEqual(await broken(begun('')), [[], false])
    assert.deepEqual(await broken(directory('')), [[], false])
    assert.deepEqual(await broken(directory(''), directory('a'), directory('a/b'), begun('a/b/f')), [[], false])
    assert.deepEqual(await broken(directory(''), file('whole', ''), directory('a'), begun('a/f')), [['.tt-part-got/whole'], true])
    assert.deepEqual(await broken(begun(''), (to) => to.bytes(bytes('hel'))), [['.tt-part-got'], true])
    const refused = await landed([file('', ''), done], { there: { got: 'mine' } })
    assert.deepEqual([refused.code, refused.files], ['exists', { 'etc/passwd': 'root', got: 'mine' }])
  })
})
