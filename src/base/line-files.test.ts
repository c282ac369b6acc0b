import assert from 'node:assert/strict'
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { lineFiles, type LineFileOptions } from './line-files.ts'
import { realWorld } from './world.ts'

const ground = (more: Partial<LineFileOptions> = {}) => {
  const dir = mkdtempSync(join(tmpdir(), 'tt-lines-'))
  const faults: unknown[] = []
  const path = join(dir, 'kept', 'lines')
  const make = () => lineFiles({ path, world: realWorld, limitBytes: 1 << 20, keep: 2, onFault: (fault) => faults.push(fault), lostLine: (count) => `lost ${count}`, ...more })
  return { dir, path, faults, make, text: (at = 0) => readFileSync(at === 0 ? path : `${path}.${at}`, 'utf8'), [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }) }
}

describe('line files', () => {
  it('keep lines in order, for their owner only', async () => {
    using at = ground()
    {
      await using lines = at.make()
      for (let n = 0; n < 2500; n++) lines.write(`line ${n}`)
    }
    assert.equal(at.text(), Array.from({ length: 2500 }, (_, n) => `line ${n}\n`).join(''))
    assert.equal(statSync(at.path).mode & 0o777, 0o600)
    assert.equal(statSync(join(at.dir, 'kept')).mode & 0o777, 0o700)
    assert.deepEqual(at.faults, [])
  })

  it('go on after what is there, also where a crash left a line open', async () => {
    using at = ground()
    mkdirSync(join(at.dir, 'kept'))
    writeFileSync(at.path, 'old\nhal')
    await using lines = at.make()
    lines.write('new')
    await lines[Symbol.asyncDispose]()
    assert.equal(at.text(), 'old\nhal\nnew\n')
  })

  it('move full files aside and keep so many', async () => {
    using at = ground({ limitBytes: 100 })
    await using lines = at.make()
    for (let n = 0; n < 10; n++) {
      lines.write(String(n).repeat(120))
      await lines.tail(0)
    }
    await lines[Symbol.asyncDispose]()
    assert.equal(existsSync(at.path), false)
    assert.deepEqual([at.text(1)[0], at.text(2)[0]], ['9', '8'])
    assert.equal(existsSync(`${at.path}.3`), false)
  })

  it('tell the last of them, over all files and from memory, and every one that follows', async () => {
    using at = ground({ limitBytes: 50, keep: 9 })
    await using lines = at.make()
    for (let n = 0; n < 20; n++) {
      lines.write(`a line ${n}`)
      if (n % 3 === 0) await lines.tail(0)
    }
    const heard: string[] = []
    for (let n = 20; n < 30; n++) lines.write(`a line ${n}`)
    const asked = lines.tail(25, (line) => heard.push(line))
    for (let n = 30; n < 40; n++) {
      lines.write(`a line ${n}`)
      await new Promise((resolve) => setImmediate(resolve)) // While it reads.
    }
    const { lines: told, stop } = await asked
    for (let n = 40; n < 50; n++) lines.write(`a line ${n}`)
    stop()
    lines.write('not heard')
    assert.equal(told.length, 25)
    const first = Number(told[0]?.slice(7))
    assert.deepEqual([...told, ...heard], Array.from({ length: 50 - first }, (_, n) => `a line ${first + n}`), 'none left out, none twice')
    assert.deepEqual((await lines.tail(2)).lines, ['a line 49', 'not heard'])
  })

  it('wait in memory for a disk that takes nothing, count what is lost, and go on by themselves', async () => {
    using at = ground({ waitingBytes: 100 })
    writeFileSync(join(at.dir, 'kept'), 'in the way of the directory')
    await using lines = at.make()
    for (let n = 0; n < 30; n++) lines.write(`number ${String(n).padStart(3, '0')}`)
    assert.deepEqual((await lines.tail(2)).lines, ['number 028', 'number 029'], 'what waits is told too')
    assert.equal(at.faults.length, 1, 'told once')
    rmSync(join(at.dir, 'kept'))
    for (const end = Date.now() + 10_000; !existsSync(at.path); ) {
      assert.ok(Date.now() < end, 'it was not tried again')
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    const kept = (await lines.tail(100)).lines
    assert.equal(kept[0], 'lost 20')
    assert.deepEqual(kept.slice(1), Array.from({ length: 10 }, (_, n) => `number ${String(20 + n).padStart(3, '0')}`))
    assert.equal(at.faults.length, 1)
  })

  it('write nothing twice after a part was written', async () => {
    using at = ground()
    await using lines = at.make()
    lines.write('one')
    await lines.tail(0)
    rmSync(at.path)
    mkdirSync(at.path) // Whatever is tried now fails.
    lines.write('two')
    await lines.tail(0).catch(() => undefined)
    rmSync(at.path, { recursive: true })
    appendFileSync(at.path, 'one\ntw')
    await lines[Symbol.asyncDispose]()
    assert.equal(at.text(), 'one\ntwo\n')
  })
})
