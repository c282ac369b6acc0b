import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { archs } from '../../../model/image.ts'
import { boardOf, emulators } from './archs.ts'

test('every processor an image may name is x86 or has a board', () => {
  assert.deepEqual(archs.filter((arch) => boardOf(arch) === undefined), ['amd64', 'i386'])
})

test('an emulator counts once it is installed, without a restart, and until then its package is named', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tt-archs-'))
  let now = 0
  const put = (name: string, mode: number) => {
    writeFileSync(join(dir, name), '')
    chmodSync(join(dir, name), mode)
  }
  try {
    const here = emulators(`/nowhere:${dir}`, () => now)
    assert.deepEqual(here.archs(), ['amd64', 'i386'])
    assert.equal(here.lacks().arm64, 'qemu-system-arm')
    assert.equal(here.lacks().s390x, 'qemu-system-misc')
    assert.equal(here.lacks().amd64, undefined)

    put('qemu-system-aarch64', 0o755)
    put('qemu-system-s390x', 0o644)
    assert.equal(here.lacks().arm64, 'qemu-system-arm', 'it is not looked for at every question')
    now = 10_000
    assert.deepEqual(here.archs(), ['amd64', 'arm64', 'i386'], 'what nobody may run is none')
    assert.deepEqual([here.lacks().arm64, here.program('arm64'), here.program('s390x')], [undefined, join(dir, 'qemu-system-aarch64'), undefined])
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})
