/** What the first bytes of a disk file say about it. Images come from strangers: nothing here is believed further than it is checked. */
export interface DiskFormat {
  format: 'raw' | 'qcow2'
  /** What the guest sees. Of qcow2 only; a raw disk is as large as its file. */
  sizeBytes?: number
  /** It says that its unwritten parts are in another file, which is opened with it. */
  backing: boolean
  /** It says that its data is in another file, which is opened with it. */
  dataFile: boolean
  /** Why it must not be opened, as the end of a sentence about it. A disk that leads to other files of the host is never one for guests. */
  flaw?: string
}

/** How many bytes of a file `diskFormatOf` likes to see; fewer of a shorter file. */
export const diskHeadBytes = 4096

/**
 * Reads the header of a disk. What has not the mark of qcow2 is raw: QEMU is told so and takes its bytes for nothing else.
 * Layout: https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.txt
 */
export function diskFormatOf(head: Uint8Array): DiskFormat {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength)
  if (head.length < 4 || view.getUint32(0) !== qcowMagic) return { format: 'raw', backing: false, dataFile: false }
  const broken = (flaw: string): DiskFormat => ({ format: 'qcow2', backing: false, dataFile: false, flaw })
  if (head.length < 72) return broken('its header is cut short')
  const version = view.getUint32(4)
  if (version !== 2 && version !== 3) return broken(`it is of version ${version}, 2 and 3 are known`)
  if (version === 3 && head.length < 104) return broken('its header is cut short')
  const backing = view.getBigUint64(8) !== 0n || view.getUint32(16) !== 0
  const incompatible = version === 3 ? view.getBigUint64(72) : 0n
  const dataFile = (incompatible & externalData) !== 0n || namesDataFile(view, version)
  const size = view.getBigUint64(24)
  const sizeBytes = size <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(size) : undefined
  const flaw = flawOf(view, { version, backing, dataFile, incompatible, size })
  return { format: 'qcow2', ...(sizeBytes === undefined ? {} : { sizeBytes }), backing, dataFile, ...(flaw === undefined ? {} : { flaw }) }
}

const qcowMagic = 0x51_46_49_fb
const dataFileExtension = 0x44_41_54_41

/** Bits of the field of incompatible features. An image that was not closed (1) or has another compression (8) can be read. */
const corrupt = 2n
const externalData = 4n
const readable = 1n | 8n

/** QEMU reads no larger table: `QCOW_MAX_L1_SIZE` in its block/qcow2.h. */
const l1LimitBytes = 32 << 20

interface Facts {
  version: number
  backing: boolean
  dataFile: boolean
  incompatible: bigint
  size: bigint
}

function flawOf(view: DataView, { backing, dataFile, incompatible, size }: Facts): string | undefined {
  if (backing) return 'it rests on a backing file'
  if (dataFile) return 'it keeps its data in another file'
  if (view.getUint32(32) !== 0) return 'it is encrypted'
  if ((incompatible & corrupt) !== 0n) return 'it is marked as corrupt'
  const unknown = incompatible & ~(readable | corrupt | externalData)
  if (unknown !== 0n) return `it needs features that are not known here (bits 0x${unknown.toString(16)})`
  const clusterBits = view.getUint32(20)
  if (clusterBits < 9 || clusterBits > 21) return `its clusters are of 2^${clusterBits} bytes, 2^9 to 2^21 are known`
  const l1Entries = view.getUint32(36)
  const clusters = (size + (1n << BigInt(clusterBits)) - 1n) >> BigInt(clusterBits)
  const needed = (clusters + (1n << BigInt(clusterBits - 3)) - 1n) >> BigInt(clusterBits - 3)
  if (l1Entries * 8 > l1LimitBytes || BigInt(l1Entries) < needed) return `its table does not fit its size of ${size} bytes`
  return undefined
}

/** Whether an extension of the header names a data file, with or without the bit that makes QEMU open it. */
function namesDataFile(view: DataView, version: number): boolean {
  let at = version === 3 ? view.getUint32(100) : 72
  while (at >= 72 && at + 8 <= view.byteLength) {
    const type = view.getUint32(at)
    if (type === 0) return false
    if (type === dataFileExtension) return true
    at += 8 + Math.ceil(view.getUint32(at + 4) / 8) * 8
  }
  return false
}
