import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { diskFormatOf, diskHeadBytes } from './disk-format.ts'

const dir = mkdtempSync(join(tmpdir(), 'tt-disk-format-'))
after(() => rmSync(dir, { recursive: true }))
writeFileSync(join(dir, 'base.raw'), Buffer.alloc(1 << 20))

/** The head of a disk made by QEMU itself. */
function made(...args: string[]): Buffer {
  const path = join(dir, 'disk.qcow2')
  rmSync(path, { force: true })
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', ...args.map((arg) => arg.replace('DIR', dir))], { cwd: dir })
  return readFileSync(path).subarray(0, diskHeadBytes)
}

/** The head of a plain disk, changed. */
function changed(change: (head: Buffer) => unknown): Buffer {
  const head = Buffer.from(made('disk.qcow2', '3G'))
  change(head)
  return head
}

test('anything without the mark is raw, whatever its length', () => {
  for (const bytes of [[], [0x51], [0x51, 0x46, 0x49], Buffer.alloc(512), Buffer.from('KDMV'), Buffer.from(`# comment\n`)])
    assert.deepEqual(diskFormatOf(Uint8Array.from(bytes)), { format: 'raw', backing: false, dataFile: false })
})

test('plain disks of every version QEMU makes are taken with their size', () => {
  for (const args of [['disk.qcow2', '3G'], ['-o', 'compat=0.10', 'disk.qcow2', '3G'], ['-o', 'cluster_size=512', 'disk.qcow2', '3G'], ['-o', 'cluster_size=2M,lazy_refcounts=on', 'disk.qcow2', '3G'], ['-o', 'compression_type=zstd', 'disk.qcow2', '3G']])
    assert.deepEqual(diskFormatOf(made(...args)), { format: 'qcow2', sizeBytes: 3 * 2 ** 30, backing: false, dataFile: false }, args.join(' '))
})

test('disks that lead to other files of the host are flawed', () => {
  const overlay = diskFormatOf(made('-b', 'DIR/base.raw', '-F', 'raw', 'disk.qcow2'))
  assert.deepEqual([overlay.backing, overlay.sizeBytes, overlay.flaw], [true, 1 << 20, 'it rests on a backing file'])
  const split = diskFormatOf(made('-o', 'data_file=DIR/data.raw', 'disk.qcow2', '1G'))
  assert.deepEqual([split.dataFile, split.flaw], [true, 'it keeps its data in another file'])
  const named = diskFormatOf(changed((head) => head.writeUInt32BE(0x44415441, head.readUInt32BE(100))))
  assert.deepEqual([named.dataFile, named.flaw], [true, 'it keeps its data in another file'], 'a name is enough, without the bit')
  const nameless = diskFormatOf(changed((head) => head.writeUInt32BE(20, 16)))
  assert.match(nameless.flaw ?? '', /backing file/, 'a length is enough, without a place')
})

test('what cannot be read here is flawed, and says why', () => {
  const cases: [string, Buffer, RegExp][] = [
    ['extended L2', made('-o', 'extended_l2=on', 'disk.qcow2', '1G'), /features.*0x10/],
    ['encrypted', changed((head) => head.writeUInt32BE(2, 32)), /encrypted/],
    ['corrupt', changed((head) => (head[79]! |= 2)), /corrupt/],
    ['version 1', changed((head) => head.writeUInt32BE(1, 4)), /version 1/],
    ['version 4', changed((head) => head.writeUInt32BE(4, 4)), /version 4/],
    ['clusters of 256 bytes', changed((head) => head.writeUInt32BE(8, 20)), /2\^8/],
    ['clusters of 4 GiB', changed((head) => head.writeUInt32BE(32, 20)), /2\^32/],
    ['larger than its table', changed((head) => head.writeBigUInt64BE(1n << 50n, 24)), /table does not fit/],
    ['a table of 1 GiB', changed((head) => head.writeUInt32BE(1 << 27, 36)), /table does not fit/],
    ['cut at 50', made('disk.qcow2', '1G').subarray(0, 50), /cut short/],
    ['cut at 100', made('disk.qcow2', '1G').subarray(0, 100), /cut short/],
  ]
  for (const [name, head, why] of cases) {
    const { format, flaw } = diskFormatOf(head)
    assert.equal(format, 'qcow2', name)
    assert.match(flaw ?? '', why, name)
  }
})

test('no bytes make it throw or run for long, and a size is only given if it is one', () => {
  const mark = Buffer.from('QFI\xfb\0\0\0\x03', 'latin1')
  const anything = fc.uint8Array({ maxLength: 600 })
  fc.assert(
    fc.property(anything, fc.boolean(), (bytes, marked) => {
      const found = diskFormatOf(marked ? Buffer.concat([mark, bytes]) : bytes)
      if (found.sizeBytes !== undefined) assert(Number.isSafeInteger(found.sizeBytes))
      if (found.backing || found.dataFile) assert(found.flaw !== undefined)
    }),
    { numRuns: 5000 },
  )
})
