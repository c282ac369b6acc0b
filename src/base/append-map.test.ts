import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { type AroundWrite, appendMap } from './append-map.ts'

const dir = mkdtempSync(join(tmpdir(), 'tt-append-map-'))
after(() => rmSync(dir, { recursive: true }))
let count = 0
const fresh = () => join(dir, `map-${++count}`)
const open = (file: string, around?: AroundWrite) => appendMap<{ n: number }>(file, around)
const contents = (file: string) => {
  using map = open(file)
  return Object.fromEntries(map.keys().map((key) => [key, map.get(key)?.n]))
}

test('what was put is there for the next that opens it, what was deleted is not', async () => {
  const file = fresh()
  using map = open(file)
  assert.equal(existsSync(file), false)
  await Promise.all([map.put('a', { n: 1 }), map.put('b', { n: 2 }), map.put('a', { n: 3 })])
  await map.delete('b')
  await map.delete('never')
  assert.deepEqual(map.get('a'), { n: 3 })
  assert.equal(map.size, 1)
  assert.deepEqual(contents(file), { a: 3 })
  assert.equal(statSync(file).mode & 0o777, 0o600)
})

test('changes that come together are one write, and seen only after it', async () => {
  let writes = 0
  using map = open(fresh(), (write) => (writes++, write()))
  const putting = Promise.all(Array.from({ length: 1000 }, (_, n) => map.put(`k${n}`, { n })))
  assert.equal(map.size, 0)
  await putting
  assert.equal(map.size, 1000)
  assert.equal(writes, 1)
})

test('the file goes with the last key and comes again', async () => {
  const file = fresh()
  using map = open(file)
  await map.put('a', { n: 1 })
  await map.delete('a')
  assert.equal(existsSync(file), false)
  await map.put('b', { n: 2 })
  assert.deepEqual(contents(file), { b: 2 })
})

test('a torn last line is forgotten, and the next line does not follow it', async () => {
  const file = fresh()
  {
    using map = open(file)
    await map.put('a', { n: 1 })
  }
  appendFileSync(file, '["b",{"n"')
  using map = open(file)
  assert.deepEqual(map.keys(), ['a'])
  await map.put('c', { n: 3 })
  assert.deepEqual(contents(file), { a: 1, c: 3 })

  for (const torn of ['', '["b"']) {
    const other = fresh()
    writeFileSync(other, torn)
    assert.deepEqual(contents(other), {})
    assert.equal(existsSync(other), false, 'an empty map has no file')
  }
})

test('a damaged line before the last throws and says which', () => {
  for (const damage of ['["b",{"n"', '{}', '', '[1]']) {
    const file = fresh()
    const before = `["a",{"n":1}]\n${damage}\n["c",{"n":3}]\n`
    writeFileSync(file, before)
    assert.throws(() => open(file), /line 2 is damaged/)
    assert.equal(readFileSync(file, 'utf8'), before)
  }
})

test('history does not pile up', async () => {
  const file = fresh()
  using map = open(file)
  for (let n = 0; n < 5000; n++) await map.put(`k${n % 10}`, { n })
  assert(statSync(file).size < 1100 * 20, `${statSync(file).size} bytes for 10 keys`)
  assert.deepEqual(Object.keys(contents(file)).length, 10)
  assert.equal(readFileSync(file, 'utf8').split('\n').length, 11, 'opening it leaves one line per key')
})

test('a write that fails rejects its own changes, and the next is whole', async () => {
  const file = fresh()
  let broken = true
  using map = open(file, (write) => {
    if (broken) throw new Error('no')
    write()
  })
  await assert.rejects(map.put('a', { n: 1 }), /no/)
  assert.equal(map.get('a'), undefined)
  broken = false
  await map.put('b', { n: 2 })
  assert.deepEqual(contents(file), { b: 2 })
})

test('a disk that takes a part of a write leaves no half line', () => {
  const file = fresh()
  const script = `
    import { appendMap } from ${JSON.stringify(import.meta.resolve('./append-map.ts'))}
    const map = appendMap(${JSON.stringify(file)})
    await map.put('a', { n: 1 })
    const refused = await map.put('b', { n: 'x'.repeat(8000) }).then(() => 'taken', (fault) => fault.code)
    await map.put('c', { n: 3 })
    console.log(refused, map.keys().join())`
  const limited = 'ulimit -f 8; exec "$0" --input-type=module -e "$1"'
  const child = spawnSync('sh', ['-c', limited, process.execPath, script], { encoding: 'utf8' })
  assert.equal(child.stdout, 'EFBIG a,c\n', child.stderr)
  assert.deepEqual(contents(file), { a: 1, c: 3 })
})

test('after it was closed, changes reject and open nothing', async () => {
  const file = fresh()
  const map = open(file)
  map[Symbol.dispose]()
  await assert.rejects(map.put('a', { n: 1 }), /closed/)
  assert.equal(existsSync(file), false)
})
