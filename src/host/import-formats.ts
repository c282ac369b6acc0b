import type { FileHandle } from 'node:fs/promises'
import { diskFormatOf } from '../model/disk-format.ts'
import { fail } from '../model/errors.ts'
import type { ImageOrder } from '../model/session.ts'

/** Disks that can be imported. */
export type DiskKind = NonNullable<ImageOrder['format']>

/** What a file that somebody sent turns out to be, by its bytes alone. */
export interface Recognised {
  kind: DiskKind
  /** What its guest would see, where the header says it; believed no further than it is checked. */
  sizeBytes?: number
}

/** So much of a file's beginning is looked at: the header of every format, and the descriptor that a vmdk carries. */
const headBytes = 64 << 10

/**
 * What the file is. Refused with `invalid` are files that are no disk, and disks that must not be opened: those that lead to other files of the
 * host, and those whose headers do not hold. Nothing but this reads them before `qemu-img` does, as a user without rights.
 */
export async function recognised(file: FileHandle, expected: DiskKind | undefined, subject: string): Promise<Recognised> {
  const { size } = await file.stat()
  const { buffer, bytesRead } = await file.read(Buffer.alloc(headBytes), 0, headBytes, 0)
  const found = ofHead(buffer.subarray(0, bytesRead), size, expected)
  if ('no' in found) return fail('invalid', `it cannot be imported: ${found.no}`, { subject, remedy: found.remedy })
  if (expected !== undefined && expected !== found.kind) fail('invalid', `it is ${found.kind}, and --format says ${expected}`, { subject, remedy: `leave --format out, or see that it is the right file` })
  return found
}

type Judged = Recognised | { no: string; remedy?: string }

function ofHead(head: Buffer, fileBytes: number, expected?: DiskKind): Judged {
  if (fileBytes === 0) return { no: 'it is empty' }
  if (marked(head, 'QFI\xfb')) return qcow2(head)
  if (marked(head, 'KDMV')) return vmdk(head)
  if (head.length >= 0x200 && head.readUInt32LE(0x40) === vdiMagic) return vdi(head)
  const other = strangers.find(({ at = 0, mark }) => marked(head, mark, at))
  if (other) return { no: other.no, remedy: other.remedy }
  if (/^\s*<(!doctype|html|\?xml)/i.test(head.toString('latin1', 0, 256))) return { no: 'it is a web page or XML, not a disk', remedy: 'give the address of the disk itself' }
  const bootable = head.length >= 512 && head.readUInt16LE(510) === 0xaa55
  if (!bootable && expected !== 'raw') return { no: 'it is none of qcow2, vmdk and vdi, and has no boot sector as a raw disk has', remedy: 'a raw disk that boots otherwise is taken with --format raw' }
  if (fileBytes % 512 !== 0) return { no: `a raw disk has whole sectors of 512 bytes, and its length is ${fileBytes}`, remedy: 'see that it came through whole' }
  return { kind: 'raw', sizeBytes: fileBytes }
}

const marked = (head: Buffer, mark: string, at = 0) => head.length >= at + mark.length && head.toString('latin1', at, at + mark.length) === mark

function qcow2(head: Buffer): Judged {
  const { flaw, sizeBytes } = diskFormatOf(head)
  if (flaw !== undefined) return { no: flaw, ...(flaw.includes('backing file') ? { remedy: 'make one file of both: `qemu-img convert -O qcow2 DISK WHOLE`' } : {}) }
  return { kind: 'qcow2', ...(sizeBytes === undefined ? {} : { sizeBytes }) }
}

/**
 * Its header and the descriptor in it: https://www.vmware.com/app/vmdk/?src=vmdk ("Virtual Disk Format 5.0"). QEMU takes a header without capacity
 * for one whose descriptor names other files, and a hint at a parent for a backing file (`vmdk_open_vmdk4`, `vmdk_parent_open` in its block/vmdk.c).
 */
function vmdk(head: Buffer): Judged {
  if (head.length < 512) return { no: 'its header is cut short' }
  const version = head.readUInt32LE(4)
  if (version < 1 || version > 3) return { no: `it is vmdk of version ${version}, 1 to 3 are known` }
  const sectors = head.readBigUInt64LE(12)
  if (sectors === 0n) return { no: leadsAway, remedy: wholeVmdk }
  // The descriptor is text from the second sector on, to its first zero; that is also where QEMU looks for a parent.
  if (head.readBigUInt64LE(28) !== 1n) return { no: 'its descriptor is not where it is in other vmdk files', remedy: wholeVmdk }
  const text = (head.toString('latin1', 512).split('\0')[0] ?? '').toLowerCase()
  const extents = text.match(/^(rw|rdonly|noaccess) .*$/gm) ?? []
  if (text.includes('parentfilenamehint') || !/^parentcid=f{8}\s*$/m.test(text)) return { no: 'it rests on another disk', remedy: wholeVmdk }
  if (extents.length !== 1 || !/^rw \d+ sparse "[^"/\\]*"\s*$/.test(extents[0] ?? '')) return { no: leadsAway, remedy: wholeVmdk }
  return sized('vmdk', sectors * 512n)
}

const leadsAway = 'it keeps its data in other files'
const wholeVmdk = 'make one file of them: `qemu-img convert -O qcow2 DISK.vmdk DISK.qcow2`'

/** `VdiHeader` in QEMU's block/vdi.c. */
function vdi(head: Buffer): Judged {
  const type = head.readUInt32LE(0x4c)
  if (type !== 1 && type !== 2) return { no: 'it rests on another disk', remedy: 'make one file of them: `VBoxManage clonemedium`' }
  return sized('vdi', head.readBigUInt64LE(0x170))
}

const vdiMagic = 0xbe_da_10_7f

const sized = (kind: DiskKind, bytes: bigint): Judged => (bytes > BigInt(Number.MAX_SAFE_INTEGER) ? { no: `its size of ${bytes} bytes is none` } : { kind, sizeBytes: Number(bytes) })

const packed = (mark: string, what: string, program: string) => ({ mark, no: `it is packed with ${what}`, remedy: `unpack it first: \`${program}\`` })

/** What else people try, by its mark and what they do about it. */
const strangers: readonly { at?: number; mark: string; no: string; remedy?: string }[] = [
  packed('\x1f\x8b', 'gzip', 'gunzip FILE'),
  packed('\xfd7zXZ\0', 'xz', 'unxz FILE'),
  packed('BZh', 'bzip2', 'bunzip2 FILE'),
  packed('\x28\xb5\x2f\xfd', 'zstd', 'unzstd FILE'),
  packed('PK\x03\x04', 'zip', 'unzip FILE'),
  packed('7z\xbc\xaf\x27\x1c', '7-Zip', '7z x FILE'),
  { at: 257, mark: 'ustar', no: 'it is a tar archive (an .ova is one)', remedy: 'unpack it and import the disk in it: `tar -xf FILE`' },
  { at: 0x8001, mark: 'CD001', no: 'it is a CD or DVD, which installs a system instead of being one', remedy: 'install from it elsewhere and import the disk' },
  { mark: 'conectix', no: 'it is vpc (.vhd)', remedy: 'convert it: `qemu-img convert -O qcow2 FILE DISK.qcow2`' },
  { mark: 'vhdxfile', no: 'it is vhdx', remedy: 'convert it: `qemu-img convert -O qcow2 FILE DISK.qcow2`' },
  { mark: 'QED\0', no: 'it is qed', remedy: 'convert it: `qemu-img convert -O qcow2 FILE DISK.qcow2`' },
  { mark: 'LUKS\xba\xbe', no: 'it is encrypted (LUKS)', remedy: 'decrypt it first' },
  { mark: 'COWD', no: 'it is vmdk of an old kind (COWD)', remedy: wholeVmdk },
  { mark: '# Disk Desc', no: `it only describes a disk; ${leadsAway}`, remedy: wholeVmdk },
]
