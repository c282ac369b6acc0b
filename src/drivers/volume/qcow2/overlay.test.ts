import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { diskFormatOf } from '../../../model/disk-format.ts'
import { TtError } from '../../../model/errors.ts'
import { type OverlaySpec, overlayHeader } from './overlay.ts'

const dir = mkdtempSync(join(tmpdir(), 'tt-overlay-'))
after(() => rmSync(dir, { recursive: true }))
const GiB = 2 ** 30

const golden: Record<string, OverlaySpec> = {
  'overlay-10g': { sizeBytes: 10 * GiB, backing: { path: '/var/lib/tt/images/micro/disk.raw', format: 'raw' }, clusterBits: 16 },
  'empty-1m': { sizeBytes: 2 ** 20, clusterBits: 16 },
}

for (const [name, spec] of Object.entries(golden))
  test(`${name} is as it was`, () => {
    const { pieces, fileBytes } = overlayHeader(spec)
    const shown = [...pieces.map(({ offset, bytes }) => `${offset}: ${Buffer.from(bytes).toString('hex')}`), `length: ${fileBytes}`, ''].join('\n')
    assert.equal(shown, readFileSync(new URL(`golden/${name}.hex`, import.meta.url), 'utf8'))
  })

const base = join(dir, 'base image.raw')
writeFileSync(base, Buffer.alloc(1 << 20, 'b'))
const sizes = [512, 1 << 20, 512 * 2 ** 20 + 512, 10 * GiB, 2 ** 40, 2 ** 46, 2 ** 50]

for (const clusterBits of [16, 21])
  for (const backing of [undefined, { path: base, format: 'raw' } as const])
    test(`qemu-img finds nothing wrong with ${backing ? 'overlays' : 'empty disks'} of 2^${clusterBits} byte clusters`, () => {
      for (const sizeBytes of sizes) {
        const path = make({ sizeBytes, backing, clusterBits })
        const info = JSON.parse(qemuImg('info', '--output=json', path))
        assert.equal(info['virtual-size'], sizeBytes)
        assert.equal(info.format, 'qcow2')
        assert.equal(info['cluster-size'], 2 ** clusterBits)
        assert.equal(info['format-specific'].data.corrupt, false)
        assert.equal(info['backing-filename'], backing?.path)
        assert.equal(info['backing-filename-format'], backing?.format)
        const check = JSON.parse(qemuImg('check', '-f', 'qcow2', '--output=json', path))
        assert.deepEqual([check['check-errors'], check.corruptions, check.leaks], [0, undefined, undefined])
        assert.equal(diskFormatOf(readFileSync(path).subarray(0, 4096)).sizeBytes, sizeBytes)
      }
    })

test('what QEMU writes into it is there and sound', () => {
  const path = make({ sizeBytes: 10 * GiB, backing: { path: base, format: 'raw' }, clusterBits: 16 })
  const io = (...commands: string[]) => {
    const out = execFileSync('qemu-io', ['-f', 'qcow2', ...commands.flatMap((command) => ['-c', command]), path], { encoding: 'utf8' })
    assert.doesNotMatch(out, /failed|error/i)
  }
  io('read -P 0x62 0 1M', 'read -P 0 1M 1M', 'write -P 0x11 4k 4k', 'write -P 0x22 5G 1M', 'write -P 0x33 10239M 1M', 'flush')
  io('read -P 0x62 0 4k', 'read -P 0x11 4k 4k', 'read -P 0x62 8k 4k', 'read -P 0x22 5G 1M', 'read -P 0x33 10239M 1M')
  const check = JSON.parse(qemuImg('check', '-f', 'qcow2', '--output=json', path))
  assert.deepEqual([check['check-errors'], check.corruptions, check.leaks], [0, undefined, undefined])
  assert(readFileSync(base).equals(Buffer.alloc(1 << 20, 'b')))
})

test('a name or size QEMU would not take is refused', () => {
  const spec = { sizeBytes: GiB, clusterBits: 16 }
  const invalid = (fault: unknown) => fault instanceof TtError && fault.code === 'invalid'
  for (const path of ['relative', '', 'json:{"driver":"nbd"}', `/${'x'.repeat(1023)}`, '/a\0b'])
    assert.throws(() => overlayHeader({ ...spec, backing: { path, format: 'raw' } }), invalid, path)
  overlayHeader({ ...spec, backing: { path: `/${'x'.repeat(1022)}`, format: 'raw' } })
  assert.throws(() => overlayHeader({ ...spec, sizeBytes: 2 ** 52 }), invalid)
})

function make(spec: OverlaySpec): string {
  const path = join(dir, 'overlay.qcow2')
  const { pieces, fileBytes } = overlayHeader(spec)
  const fd = openSync(path, 'w')
  ftruncateSync(fd, fileBytes)
  for (const { offset, bytes } of pieces) writeSync(fd, bytes, 0, bytes.length, offset)
  closeSync(fd)
  return path
}

function qemuImg(...args: string[]): string {
  return execFileSync('qemu-img', args, { encoding: 'utf8' })
}
