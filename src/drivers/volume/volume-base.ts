import { closeSync, constants, fstatSync, openSync, readSync, realpathSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import { isMissing } from '../../base/files.ts'
import { diskFormatOf, diskHeadBytes } from '../../model/disk-format.ts'
import { fail } from '../../model/errors.ts'
import type { Disk } from '../../model/plan.ts'
import { closedTo } from './passage.ts'

/** The base as its own bytes say it is, links in its path resolved; refused if they say something else than the caller, or lead to other files of the host. */
export function checkedBase(base: Disk, reader?: number): Disk {
  if (!isAbsolute(base.path)) fail('invalid', `the path of a base disk has to be absolute: ${base.path}`)
  const { head, fileBytes } = headOf(base.path)
  const { format, sizeBytes = fileBytes, flaw } = diskFormatOf(head)
  if (format !== base.format) fail('invalid', `the base disk ${base.path} is ${format}, not ${base.format}`)
  if (flaw !== undefined) fail('invalid', `the base disk ${base.path} cannot be used: ${flaw}`)
  const path = realpathSync.native(base.path)
  const closed = reader === undefined ? undefined : closedTo(reader, path)
  if (closed !== undefined) fail('denied', `user ${reader} cannot read the base disk ${path}: ${closed} is closed to it`, { remedy: `chmod a+rX ${closed}` })
  return { path, format, sizeBytes, readOnly: true }
}

/** The size of a disk in whole sectors; refused if it is no size, or smaller than the base it starts as. */
export function checkedSize(id: string, sizeBytes: number, baseBytes = 0): number {
  const subject = `volume/${id}`
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 1 || sizeBytes > sizeLimitBytes)
    fail('invalid', `a disk has 1 to ${sizeLimitBytes} bytes, ${sizeBytes} were asked for`, { subject })
  if (sizeBytes < baseBytes) fail('invalid', `the base disk has ${baseBytes} bytes, a volume of ${sizeBytes} cannot hold it`, { subject })
  return Math.ceil(sizeBytes / sectorBytes) * sectorBytes
}

/** What the file says of itself; of the file of a volume that was found. */
export function headOf(path: string): { head: Uint8Array; fileBytes: number } {
  const fd = open(path)
  try {
    const stats = fstatSync(fd)
    if (!stats.isFile()) fail('invalid', `${path} is not a file`)
    const head = new Uint8Array(diskHeadBytes)
    return { head: head.subarray(0, readSync(fd, head)), fileBytes: stats.size }
  } finally {
    closeSync(fd)
  }
}

/** 1 PiB: larger than any host here, small enough for every format. */
const sizeLimitBytes = 2 ** 50
const sectorBytes = 512

function open(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK) // A named pipe must not hold us up.
  } catch (fault) {
    if (isMissing(fault)) fail('not_found', `there is no disk ${path}`)
    throw fault
  }
}
