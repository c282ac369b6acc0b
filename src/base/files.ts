import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

/** The file's text, or undefined if there is none; at once, for small files and for `/proc` and `/sys`, which are in memory. */
export function readTextNow(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (fault) {
    if (isMissing(fault)) return undefined
    throw fault
  }
}

/** The file is there whole with the new bytes, or as it was: also after a power cut if `durable`. */
export function writeWhole(path: string, bytes: string | Uint8Array, options: { mode?: number; durable?: boolean } = {}): void {
  const temporary = `${path}.new`
  try {
    const fd = openSync(temporary, 'w', options.mode ?? 0o600)
    try {
      const all = typeof bytes === 'string' ? Buffer.from(bytes) : bytes
      // A disk that is nearly full takes a part, and says so only when it is asked again.
      for (let done = 0; done < all.length; ) done += writeSync(fd, all, done)
      if (options.durable) fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(temporary, path)
  } catch (fault) {
    rmSync(temporary, { force: true })
    throw fault
  }
  if (options.durable) syncDirectory(dirname(path))
}

/** Removes the file or the whole directory; nothing there is fine. */
export const removeAll = (path: string): void => rmSync(path, { recursive: true, force: true })

/** Whether the error says that there is no such file, directory or process. */
export const isMissing = (fault: unknown): boolean => hasErrno(fault, 'ENOENT') || hasErrno(fault, 'ESRCH') || hasErrno(fault, 'ENOTDIR')

export const hasErrno = (fault: unknown, errno: string): boolean => fault instanceof Error && 'code' in fault && fault.code === errno

function syncDirectory(dir: string): void {
  const fd = openSync(dir, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
