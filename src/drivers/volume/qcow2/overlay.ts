import { fail } from '../../../model/errors.ts'

/** What a new qcow2 file is to be: an overlay on `backing`, or an empty disk. */
export interface OverlaySpec {
  sizeBytes: number
  /** Absolute path of the base, and what it is: QEMU is never left to guess. */
  backing?: { path: string; format: 'raw' | 'qcow2' }
  /** 2 to this power is the unit of allocation in bytes, 16 to 21. */
  clusterBits: number
}

/** The bytes of a file that are not zero, and how long the file is. */
export interface OverlayFile {
  pieces: { offset: number; bytes: Uint8Array }[]
  fileBytes: number
}

/**
 * A qcow2 file in which nothing is written yet, as `qemu-img create` would make it, in some hundred bytes: header, a table of
 * one block of reference counts, that block, and the first-level table, which is all zeros and so a hole.
 * Layout: https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.txt
 */
export function overlayHeader({ sizeBytes, backing, clusterBits }: OverlaySpec): OverlayFile {
  const clusterBytes = 2 ** clusterBits
  const bytesPerL1Entry = (clusterBytes / 8) * clusterBytes
  const l1Entries = Math.ceil(sizeBytes / bytesPerL1Entry)
  if (l1Entries * 8 > l1LimitBytes) fail('invalid', `a qcow2 disk has at most ${(l1LimitBytes / 8) * bytesPerL1Entry} bytes, ${sizeBytes} were asked for`)
  const l1Clusters = Math.ceil((l1Entries * 8) / clusterBytes)
  const usedClusters = at.l1Table + l1Clusters

  const refcountTable = new Uint8Array(8)
  new DataView(refcountTable.buffer).setBigUint64(0, BigInt(at.refcountBlock * clusterBytes))
  const refcounts = new Uint8Array(usedClusters * 2)
  for (let cluster = 0; cluster < usedClusters; cluster++) refcounts[cluster * 2 + 1] = 1

  return {
    pieces: [
      { offset: 0, bytes: header({ sizeBytes, backing, clusterBits }, l1Entries) },
      { offset: at.refcountTable * clusterBytes, bytes: refcountTable },
      { offset: at.refcountBlock * clusterBytes, bytes: refcounts },
    ],
    fileBytes: usedClusters * clusterBytes,
  }
}

/** Clusters of the file, by number. */
const at = { header: 0, refcountTable: 1, refcountBlock: 2, l1Table: 3 }

/** QEMU opens no larger table and no longer name: `QCOW_MAX_L1_SIZE` and the check of `backing_file_size` in its block/qcow2. */
const l1LimitBytes = 32 << 20
const nameLimitBytes = 1023

const headerBytes = 104
const backingFormatExtension = 0xe2_79_2a_ca

function header({ sizeBytes, backing, clusterBits }: OverlaySpec, l1Entries: number): Uint8Array {
  const name = Buffer.from(backing?.path ?? '')
  if (backing && (!backing.path.startsWith('/') || name.length > nameLimitBytes || name.includes(0)))
    fail('invalid', `a qcow2 disk names its base by an absolute path of at most ${nameLimitBytes} bytes`)
  const extensions = backing ? [extension(backingFormatExtension, Buffer.from(backing.format)), extension(0)] : [extension(0)]
  const bytes = Buffer.concat([Buffer.alloc(headerBytes), ...extensions, name])
  const clusterBytes = 2 ** clusterBits

  bytes.write('QFI\xfb', 'latin1')
  bytes.writeUInt32BE(3, 4)
  bytes.writeBigUInt64BE(BigInt(backing ? bytes.length - name.length : 0), 8)
  bytes.writeUInt32BE(name.length, 16)
  bytes.writeUInt32BE(clusterBits, 20)
  bytes.writeBigUInt64BE(BigInt(sizeBytes), 24)
  bytes.writeUInt32BE(l1Entries, 36)
  bytes.writeBigUInt64BE(BigInt(at.l1Table * clusterBytes), 40)
  bytes.writeBigUInt64BE(BigInt(at.refcountTable * clusterBytes), 48)
  bytes.writeUInt32BE(1, 56)
  bytes.writeUInt32BE(4, 96) // Reference counts of 2^4 bits.
  bytes.writeUInt32BE(headerBytes, 100)
  return bytes
}

function extension(type: number, data: Uint8Array = new Uint8Array()): Buffer {
  const bytes = Buffer.alloc(8 + Math.ceil(data.length / 8) * 8)
  bytes.writeUInt32BE(type, 0)
  bytes.writeUInt32BE(data.length, 4)
  bytes.set(data, 8)
  return bytes
}
