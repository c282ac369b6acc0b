import { constants, realpathSync } from 'node:fs'
import { chmod, type FileHandle, link, lstat, mkdir, open, readdir, readlink, rename, rm, stat, symlink, unlink } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import type { LocalFiles, LocalPart } from '../cli/local-files.ts'
import { type ErrorCode, fail, TtError } from '../model/errors.ts'

/** Each read costs the same, however much it brings. */
const pieceBytes = 1024 * 1024

/** The machine's own. Loaded by transfers only. */
export const localFiles: LocalFiles = {
  stat: (path, { follow = false } = {}) =>
    told(path, async () => {
      const about = await (follow ? stat : lstat)(path).catch((fault: NodeJS.ErrnoException) => {
        if (fault.code === 'ENOENT' || fault.code === 'ENOTDIR') return undefined
        throw fault
      })
      if (!about) return undefined
      const type = about.isFile() ? 'file' : about.isDirectory() ? 'directory' : about.isSymbolicLink() ? 'link' : 'other'
      return { type, mode: about.mode & 0o7777, sizeBytes: about.size }
    }),
  targetOf: (path) =>
    told(path, async () => {
      const bytes = await readlink(path, 'buffer')
      return utf8Of(bytes) ?? fail('invalid', `the link ${path} leads to ${escaped(bytes)}, which is not UTF-8: it cannot be sent as it is`, { remedy: 'make it lead to a name in UTF-8, or send the directory packed by `tar c`' })
    }),
  list: (path) =>
    told(path, async () => {
      const names = await readdir(path, 'buffer')
      return names.map((bytes) => utf8Of(bytes) ?? fail('invalid', `${path} holds a name that is not UTF-8: ${escaped(bytes)}; it cannot be sent as it is`, { remedy })).sort()
    }),
  async *read(path, from = 0) {
    const file = await told(path, () => open(path, 'r'))
    const readAt = (at: number) => {
      const piece = Buffer.allocUnsafe(pieceBytes)
      const reading = told(path, () => file.read(piece, 0, piece.length, at)).then(({ bytesRead }) => piece.subarray(0, bytesRead))
      reading.catch(() => undefined) // It is awaited in its turn, unless nobody comes back for it.
      return reading
    }
    try {
      // The next is read while this one is worked on.
      for (let at = from, next = readAt(at); ; ) {
        const piece = await next
        if (piece.length === 0) return
        at += piece.length
        next = readAt(at)
        yield piece
      }
    } finally {
      await file.close()
    }
  },
  nameOf: (path) => basename(/(^|\/)\.\.?\/*$/.test(path) ? placeOf(path) : path),
  directoryOf: (path) => dirname(path),
  join: (path, ...names) => (path === '.' ? names : [path.replace(/\/+$/, ''), ...names]).join('/'),
  makeDirectory: (path, mode = 0o777) => told(path, async () => void (await mkdir(path, { recursive: true, mode }))),
  makeLink: (path, target) => told(path, () => symlink(target, path)),
  setMode: (path, mode) => told(path, () => chmod(path, mode)),
  open: (path) =>
    told(path, async () => {
      const file = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600)
      return partOf(path, file, (await file.stat()).size)
    }),
  rename: (from, to, { overwrite }) =>
    told(to, async () => {
      if (overwrite) return rename(from, to)
      if ((await lstat(from)).isDirectory()) {
        // Nothing there, or this refuses: a directory has no second name that could be tried.
        await mkdir(to)
        return rename(from, to)
      }
      await link(from, to)
      await unlink(from)
    }),
  remove: (path) => told(path, () => rm(path, { recursive: true, force: true })),
}

/** Where a path leads that ends in no name. */
function placeOf(path: string): string {
  try {
    return realpathSync.native(path) // The other looks at `..` before links.
  } catch {
    return resolve(path)
  }
}

const remedy = 'give it another name, or send the directory packed by `tar c`'

/** Names are bytes; undefined if they are not those of a text. */
function utf8Of(bytes: Buffer): string | undefined {
  const text = bytes.toString()
  return Buffer.from(text).equals(bytes) ? text : undefined
}

/** For people, as a shell takes it: `$'caf\xe9'`. */
const escaped = (bytes: Buffer): string => `$'${bytes.toString('latin1').replaceAll(/[^ -~]|['\\]/g, (one) => `\\x${one.charCodeAt(0).toString(16).padStart(2, '0')}`)}'`

function partOf(path: string, file: FileHandle, sizeBytes: number): LocalPart {
  let size = sizeBytes
  return {
    get sizeBytes() {
      return size
    },
    async cut(to) {
      await told(path, () => file.truncate(to))
      size = to
    },
    async write(bytes) {
      for (let done = 0; done < bytes.length; ) {
        const { bytesWritten } = await told(path, () => file.write(bytes, done, bytes.length - done, size))
        done += bytesWritten
        size += bytesWritten
      }
    },
    close: () => file.close(),
  }
}

const codes: Record<string, { code: ErrorCode; why: string }> = {
  ENOENT: { code: 'not_found', why: 'there is no such file or directory' },
  EACCES: { code: 'denied', why: 'the system does not let you' },
  EPERM: { code: 'denied', why: 'the system does not let you' },
  EROFS: { code: 'denied', why: 'the file system is read-only' },
  EEXIST: { code: 'exists', why: 'there is something already' },
  ENOTEMPTY: { code: 'exists', why: 'there is a directory with something in it already' },
  ENOSPC: { code: 'exhausted', why: 'the disk is full' },
  EDQUOT: { code: 'exhausted', why: 'your quota of disk space is used up' },
  EISDIR: { code: 'invalid', why: 'it is a directory' },
  ENOTDIR: { code: 'invalid', why: 'something on the way is no directory' },
  ELOOP: { code: 'invalid', why: 'it is a link, and nothing is written through links' },
}

async function told<T>(path: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (fault) {
    if (fault instanceof TtError) throw fault
    const known = codes[(fault as NodeJS.ErrnoException).code ?? '']
    throw new TtError({ code: known?.code ?? 'failed', message: `${path}: ${known?.why ?? (fault as Error).message}` }, fault)
  }
}
