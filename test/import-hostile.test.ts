import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { diceOf } from './dice.ts'
import { fakeCloud, temporaryDir } from './fake-cloud.ts'
import { bootDisk, disks, imported, MiB, needing, shelf } from './import-ground.ts'
import type { ImageOrder } from '../src/model/session.ts'

// Files that somebody sends to reach more than a disk of their own: none becomes an image, and none is even opened by what could be led away.

const needs = needing('qemu-img')
const uidOf = () => (process.getuid?.() === 0 ? 0x7e57 << 8 : undefined)

test('no file that is not a whole, sound disk of one of the formats is imported', needs, async (t) => {
  using made = disks()
  using home = temporaryDir('import')
  await using host = await fakeCloud({ dir: home.dir, total: { cpu: 10, memMb: 10_000, diskMb: 50_000, vms: 10 }, host: { uidOf } })
  const secret = made.raw('secret', bootDisk(3 * MiB, 'secret'))
  const qcow2 = made.as('qcow2')
  const vmdk = made.as('vmdk')
  const vdi = made.as('vdi')
  made.img('create', '-f', 'qcow2', '-F', 'raw', '-b', secret, 'backed')
  made.img('create', '-f', 'qcow2', '-o', `data_file=${made.path('outside')},data_file_raw=on`, 'data-file', '3M')
  made.img('create', '-f', 'vmdk', '-b', vmdk, '-F', 'vmdk', 'child.vmdk')
  made.img('create', '-f', 'vmdk', '-o', 'subformat=monolithicFlat', 'flat.vmdk', '3M')
  made.img('create', '-f', 'qcow2', 'vast', '100G')
  made.img('create', '-f', 'vhdx', 'other.vhdx', '3M')
  const file = (name: string) => readFileSync(made.path(name))
  const forged = (from: string, change: (bytes: Buffer) => Buffer | void) => readFileSync(made.forged(from, change))
  /** A header without capacity, whose descriptor names a file of the host: QEMU would open it. */
  const leadingAway = forged(vmdk, (bytes) => {
    bytes.writeBigUInt64LE(0n, 12)
    const text = `# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="monolithicFlat"\nRW 6144 FLAT "${secret}" 0\n`
    bytes.fill(0, 512, 512 + 1024).write(text, 512, 'latin1')
  })
  const renamed = forged(vmdk, (bytes) => {
    const text = bytes.toString('latin1', 512, 1536)
    bytes.write(text.replace('SPARSE "disk-plain.vmdk"', 'FLAT "../../secret" 0   '), 512, 'latin1')
  })
  const twofold = forged(vmdk, (bytes) => {
    const text = bytes.toString('latin1', 512, 1536)
    bytes.write(text.replace(/^(RW .*)$/m, '$1\nRW 6144 SPARSE "another.vmdk"').slice(0, 1024), 512, 'latin1')
  })
  const huge = (at: number, value: number) => forged(qcow2, (bytes) => void bytes.writeUInt32BE(value, at))
  const cases: [string, Buffer, RegExp, Partial<ImageOrder>?][] = [
    ['a backing file', file('backed'), /rests on a backing file/],
    ['a data file', file('data-file'), /keeps its data in another file/],
    ['encryption', huge(32, 2), /encrypted/],
    ['a table of 16 GB', huge(36, 0x7fffffff), /table does not fit/],
    ['clusters of 2^31 bytes', huge(20, 31), /clusters/],
    ['a table beyond its end', forged(qcow2, (bytes) => void bytes.writeBigUInt64BE(1n << 40n, 40)), /cannot be opened|damaged/],
    ['a refcount table of many GB', huge(56, 0x7fffffff), /cannot be opened|damaged/],
    ['many snapshots', huge(60, 0x00ffffff), /cannot be opened|damaged/],
    ['a size beyond all', forged(qcow2, (bytes) => void bytes.writeBigUInt64BE(1n << 62n, 24)), /table does not fit|cannot be/],
    ['marked as corrupt', forged(qcow2, (bytes) => void bytes.writeBigUInt64BE(2n, 72)), /corrupt/],
    ['version 9', forged(qcow2, (bytes) => void bytes.writeUInt32BE(9, 4)), /version 9/],
    ['cut short', readFileSync(made.cut(qcow2, 400_000)), /damaged/],
    ['a header alone', readFileSync(made.cut(qcow2, 60)), /cut short/],
    ['a vmdk with a parent', file('child.vmdk'), /rests on another disk/],
    ['a vmdk descriptor', file('flat.vmdk'), /only describes a disk/],
    ['a vmdk whose header has no capacity', leadingAway, /keeps its data in other files/],
    ['a vmdk without capacity, and nothing else wrong', forged(vmdk, (bytes) => void bytes.writeBigUInt64LE(0n, 12)), /keeps its data in other files/],
    ['a vmdk of two files', twofold, /keeps its data in other files/],
    ['a vmdk whose descriptor names another file', renamed, /keeps its data in other files/],
    ['a vmdk whose descriptor lies elsewhere', forged(vmdk, (bytes) => void bytes.writeBigUInt64LE(64n, 28)), /descriptor/],
    ['a vmdk that is cut short', readFileSync(made.cut(vmdk, 66_000)), /cannot be|damaged/],
    ['a vdi that rests on another', forged(vdi, (bytes) => void bytes.writeUInt32LE(4, 0x4c)), /rests on another disk/],
    ['a vdi of a size beyond all', forged(vdi, (bytes) => void bytes.writeBigUInt64LE(1n << 60n, 0x170)), /cannot be|is none/],
    ['a vdi with a table of many GB', forged(vdi, (bytes) => void (bytes.writeUInt32LE(0x3fffffff, 0x180), bytes.writeBigUInt64LE(0x3fffffffn << 20n, 0x170))), /cannot be|damaged/],
    ['gzip', gzipSync(bootDisk()), /packed with gzip/],
    ['xz', Buffer.from('fd377a585a000004', 'hex'), /packed with xz/],
    ['zip', Buffer.from('PK\x03\x04 and more'), /packed with zip/],
    ['tar', Buffer.concat([Buffer.alloc(257), Buffer.from('ustar'), Buffer.alloc(1000)]), /tar archive/],
    ['a CD', Buffer.concat([Buffer.alloc(0x8001), Buffer.from('CD001'), Buffer.alloc(1000)]), /CD or DVD/],
    ['a web page', Buffer.from('<!DOCTYPE html><p>Please sign in'), /web page/],
    ['vhdx', file('other.vhdx'), /it is vhdx/],
    ['no disk', Buffer.from('just a text'), /no boot sector/],
    ['nothing', Buffer.alloc(0), /empty/],
    ['raw with half a sector', Buffer.concat([bootDisk(), Buffer.alloc(7)]), /whole sectors/],
    ['another format than is said', readFileSync(vmdk), /it is vmdk, and --format says qcow2/, { format: 'qcow2' }],
    ['qcow2 said to be raw', readFileSync(qcow2), /it is qcow2, and --format says raw/, { format: 'raw' }],
  ]
  for (const [what, bytes, message, more] of cases) {
    await t.test(what, async () => {
      const { problem, built } = await imported(host.cloud, { name: 'bad', ...more }, bytes)
      assert.deepEqual([problem?.code, built], ['invalid', []], problem?.message)
      assert.match(problem?.message ?? '', message)
      assert.ok(!problem?.message.includes('/dev/fd') && !problem?.message.includes('json:'), `it speaks of what nobody sees: ${problem?.message}`)
    })
  }
  await t.test('a disk larger than all the host offers', async () => {
    const { problem } = await imported(host.cloud, { name: 'bad' }, file('vast'))
    assert.equal(problem?.code, 'too_large', problem?.message)
    assert.match(problem?.message ?? '', /its guest would see 100\.0 GB, at most 48\.8 GB are taken here/)
  })
  assert.deepEqual(shelf(home.dir).images, [])
  const plain = randomBytes(MiB)
  assert.equal((await imported(host.cloud, { name: 'bad' }, plain)).problem?.code, 'invalid')
  assert.deepEqual((await imported(host.cloud, { name: 'good', format: 'raw' }, plain)).built, ['one'], 'a raw disk without a boot sector is taken if it is said to be one')
})

test('headers changed at random make no image that leads elsewhere, and end nothing', needs, async () => {
  using made = disks()
  using home = temporaryDir('import')
  await using host = await fakeCloud({ dir: home.dir, host: { uidOf } })
  const sources = ['qcow2', 'vmdk', 'vdi'].map((format) => readFileSync(made.as(format)))
  const dice = diceOf(20_261_120)
  const codes = new Map<string, number>()
  for (let turn = 0; turn < 45; turn++) {
    const bytes = Buffer.from(sources[turn % sources.length] ?? assert.fail())
    for (let change = 0; change <= dice(4); change++) bytes[dice(dice(2) === 0 ? 128 : 4096)] = dice(256)
    writeFileSync(made.path('last'), bytes)
    const { problem } = await imported(host.cloud, { name: 'x', replace: true }, bytes)
    const code = problem?.code ?? 'ok'
    codes.set(code, (codes.get(code) ?? 0) + 1)
    assert.ok(['ok', 'invalid', 'too_large'].includes(code), `turn ${turn}: ${problem?.message}`)
    assert.ok(!problem?.message.includes('/dev/fd'), problem?.message)
  }
  assert.ok((codes.get('invalid') ?? 0) > 5 && (codes.get('ok') ?? 0) > 5, JSON.stringify([...codes]))
})
