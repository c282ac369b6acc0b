import { fail, TtError } from '../../../model/errors.ts'
import type { NewFile } from '../channel.ts'
import { codeOf, status } from './sftp.ts'

/** Linux's limits: https://man7.org/linux/man-pages/man0/limits.h.0p.html */
const pathBytes = 4095
const nameBytes = 255

/** Refuses a path that no guest can have. */
export function checkPath(path: string): void {
  const why = !path.startsWith('/') ? 'it does not begin with /' : path.includes('\0') ? 'it holds a zero byte' : Buffer.byteLength(path) > pathBytes ? 'it is too long' : path.split('/').some((name) => Buffer.byteLength(name) > nameBytes) ? 'a name in it is too long' : undefined
  if (why !== undefined) fail('invalid', `'${path.slice(0, 100)}' cannot be a path in the guest: ${why}`, { subject: path.slice(0, 100) })
}

export function checkMode(path: string, mode: number): void {
  if (!Number.isInteger(mode) || mode < 0 || mode > 0o7777) fail('invalid', `${mode} is no mode of a file`, { subject: path })
}

export function checkNewFile(path: string, { sizeBytes, sha256, mode }: NewFile): void {
  checkPath(path)
  checkMode(path, mode)
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) fail('invalid', `${sizeBytes} is no size of a file`, { subject: path })
  if (!/^[0-9a-f]{64}$/.test(sha256)) fail('invalid', 'the sha256 is not one', { subject: path })
}

export function checkTarget(path: string, target: string): void {
  checkPath(path)
  if (target === '' || target.includes('\0') || Buffer.byteLength(target) > pathBytes) fail('invalid', 'no link can lead there', { subject: path })
}

/** Runs it, and tells what the server of files refuses in words of ours. */
export async function refused<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (fault) {
    const code = codeOf(fault)
    if (fault instanceof TtError || code === undefined) throw fault
    const why = (fault as Error).message
    if (code === status.noSuchFile) fail('not_found', `there is no '${path}' in the guest, or not what it would be in`, { subject: path, cause: fault })
    if (code === status.denied) fail('denied', `the guest does not allow it for '${path}'`, { subject: path, cause: fault })
    return fail('failed', `the guest cannot do that with '${path}': ${why}`, { subject: path, remedy: 'see whether its disk is full', cause: fault })
  }
}
