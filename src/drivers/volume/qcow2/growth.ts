import { open } from 'node:fs/promises'
import { imageProgram } from './image-program.ts'

/**
 * Makes an overlay larger where it lies. Up to what the clusters of its first-level table can hold (4 TiB with clusters of 64 KiB) that is one
 * write of 16 bytes in the header's first sector, so that a crash leaves the old size or the new one; beyond, `qemu-img` moves the table.
 */
export async function growOverlay(path: string, sizeBytes: number): Promise<void> {
  if (await growInHeader(path, sizeBytes)) return
  await imageProgram(path, ['resize', '-q', '-f', 'qcow2', path, String(sizeBytes)])
}

/** Where things stand in the header: https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.txt */
const at = { clusterBits: 20, size: 24, l1Entries: 36, l1Offset: 40, snapshots: 60, incompatible: 72, autoclear: 88, bytes: 104 }

async function growInHeader(path: string, sizeBytes: number): Promise<boolean> {
  await using file = await open(path, 'r+')
  const head = Buffer.alloc(at.bytes)
  await file.read(head, 0, at.bytes, 0)
  const clusterBytes = 2 ** head.readUInt32BE(at.clusterBits)
  const l1Entries = head.readUInt32BE(at.l1Entries)
  const needed = Math.ceil(sizeBytes / ((clusterBytes / 8) * clusterBytes))
  const room = Math.ceil((l1Entries * 8) / clusterBytes) * clusterBytes
  // A file that was not closed in order, or has what overlays of ours never have, is for QEMU's own tool.
  const isPlain = head.readUInt32BE(4) === 3 && head.readUInt32BE(at.snapshots) === 0 && head.readBigUInt64BE(at.incompatible) === 0n && head.readBigUInt64BE(at.autoclear) === 0n
  if (!isPlain || needed * 8 > room) return false
  const more = Buffer.alloc(Math.max(0, needed - l1Entries) * 8)
  await file.read(more, 0, more.length, Number(head.readBigUInt64BE(at.l1Offset)) + l1Entries * 8)
  if (more.some((byte) => byte !== 0)) return false
  const change = Buffer.from(head.subarray(at.size, at.l1Offset))
  change.writeBigUInt64BE(BigInt(sizeBytes), 0)
  change.writeUInt32BE(Math.max(needed, l1Entries), at.l1Entries - at.size)
  await file.write(change, 0, change.length, at.size)
  return true
}
