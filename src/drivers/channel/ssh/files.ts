import { createHash } from 'node:crypto'
import type { Stats } from 'ssh2'
import type { Call } from '../../../model/call.ts'
import { randomHex, type World } from '../../../base/world.ts'
import { asTtError, fail } from '../../../model/errors.ts'
import type { Exit, FileEntry } from '../../../model/session.ts'
import type { GuestFiles, NewFile } from '../channel.ts'
import { checkMode, checkNewFile, checkPath, checkTarget, refused } from './file-checks.ts'
import { arriving, departing } from './file-bytes.ts'
import { isPart, partOf, parts, strangePartOf } from './file-parts.ts'
import { codeOf, type Sftp, status } from './sftp.ts'

/** Digests of files up to this are worked out here, of larger ones in the guest. */
const smallBytes = 256 << 10

export interface FilesOver {
  world: World
  sftp(call?: Call): Promise<Sftp>
  /** Runs a program in the guest; what it wrote. */
  run(argv: string[], call?: Call): Promise<{ stdout: string; exit: Exit }>
}

/** Files of a guest by sftp, and their digests by its `sha256sum`. A file is written beside its place, under a hidden name that says what it is to be. */
export function sshFiles(over: FilesOver): GuestFiles {
  const unfinished = parts(over)
  const begin = async (path: string, call?: Call): Promise<Sftp> => {
    checkPath(path)
    if (call?.signal?.aborted) throw asTtError(call.signal.reason)
    return over.sftp(call)
  }
  /** A file to be read: what it leads to, if it is a link. */
  const file = async (sftp: Sftp, path: string): Promise<Stats> => {
    const found = (await sftp.stat(path)) ?? fail('not_found', `there is no file '${path}' in the guest`, { subject: path })
    return found.isFile() ? found : fail('invalid', `'${path}' in the guest is no file`, { subject: path })
  }
  const digest = async (sftp: Sftp, path: string, bytes: number, call?: Call): Promise<string> => {
    if (bytes > smallBytes) {
      const { stdout, exit } = await over.run(['/bin/sh', '-c', 'head -c "$2" "$1" | sha256sum', 'sh', path, String(bytes)], call)
      const [found] = /^[0-9a-f]{64}/.exec(stdout) ?? []
      if (found !== undefined && exit.code === 0) return found
    }
    const hash = createHash('sha256')
    await arriving(sftp, path, { from: 0, most: bytes, output: (piece) => void hash.update(piece) })
    return hash.digest('hex')
  }
  const isSame = async (sftp: Sftp, path: string, of: NewFile, call?: Call) => {
    const found = await sftp.lstat(path)
    return found !== undefined && found.isFile() && found.size === of.sizeBytes && (await digest(sftp, path, of.sizeBytes, call)) === of.sha256
  }
  /** Refuses a place that cannot be written to; whether anything is there. */
  const place = async (sftp: Sftp, path: string, overwrite: boolean): Promise<'free' | 'taken'> => {
    const parent = path.slice(0, path.lastIndexOf('/')) || '/'
    const above = (await sftp.stat(parent)) ?? (await absentParent(sftp, parent))
    if (!above.isDirectory()) fail('invalid', `'${parent}' in the guest is no directory`, { subject: path })
    const there = await sftp.lstat(path)
    if (there?.isDirectory()) fail('exists', `'${path}' in the guest is a directory`, { subject: path })
    if (there && !overwrite) return 'taken'
    return 'free'
  }
  const taken = (path: string): never => fail('exists', `'${path}' is in the guest already, and is something else`, { subject: path, remedy: 'say --overwrite if it may go' })

  return {
    async stat(path, call) {
      const sftp = await begin(path, call)
      return refused(path, async () => {
        const found = await sftp.lstat(path)
        return found && ((await entryOf(sftp, path, '', found)) ?? fail('invalid', `'${path}' in the guest is neither file, directory nor link`, { subject: path }))
      })
    },
    async *list(path, call) {
      const sftp = await begin(path, call)
      const found = (await refused(path, () => sftp.stat(path))) ?? fail('not_found', `there is no directory '${path}' in the guest`, { subject: path })
      if (!found.isDirectory()) fail('invalid', `'${path}' in the guest is no directory`, { subject: path })
      try {
        for await (const { filename, attrs } of sftp.list(path)) {
          if (filename === '.' || filename === '..' || isPart(filename)) continue
          const entry = await entryOf(sftp, `${path}/${filename}`, filename, attrs)
          if (entry) yield entry
        }
      } catch (fault) {
        await refused(path, () => Promise.reject(fault))
      }
    },
    async digest(path, options, call) {
      const sftp = await begin(path, call)
      return refused(path, async () => {
        const { size } = await file(sftp, path)
        const bytes = options?.bytes ?? size
        return bytes > size ? undefined : digest(sftp, path, bytes, call)
      })
    },
    async read(path, { offset = 0, output }, call) {
      const sftp = await begin(path, call)
      return refused(path, async () => {
        const { size } = await file(sftp, path)
        if (offset > size) fail('invalid', `'${path}' in the guest has ${size} bytes, and none from ${offset} on`, { subject: path })
        const hash = createHash('sha256')
        // What is there when it begins: a file that grows has an end, and no piece is asked for beyond it. Files of /proc say 0 and have more.
        const end = await arriving(sftp, path, { from: offset, ...(size > 0 ? { most: size } : {}), output: (piece) => (hash.update(piece), output(piece)) })
        return { sha256: offset === 0 ? hash.digest('hex') : await digest(sftp, path, end, call) }
      })
    },
    async offer(path, wanted, call) {
      checkNewFile(path, wanted)
      const sftp = await begin(path, call)
      return refused(path, async () => {
        await place(sftp, path, wanted.overwrite ?? false)
        if (await isSame(sftp, path, wanted, call)) {
          await sftp.chmod(path, wanted.mode)
          return wanted.sizeBytes
        }
        if ((await place(sftp, path, wanted.overwrite ?? false)) === 'taken') taken(path)
        const has = (await unfinished.size(sftp, partOf(path, wanted), call)) ?? 0
        if (has > wanted.sizeBytes) return 0
        // One that is whole but has no name yet wants its last byte once more, and with it the name.
        return Math.min(has, Math.max(0, wanted.sizeBytes - 1))
      })
    },
    async write(path, { offset, ...wanted }, bytes, call) {
      checkNewFile(path, wanted)
      if (!Number.isInteger(offset) || offset < 0 || offset > wanted.sizeBytes) fail('invalid', `a file of ${wanted.sizeBytes} bytes cannot be written from ${offset} on`, { subject: path })
      const sftp = await begin(path, call)
      const part = partOf(path, wanted)
      const writing = async () => {
        const there = await place(sftp, path, wanted.overwrite ?? false)
        if ((there === 'taken' || offset === wanted.sizeBytes) && (await isSame(sftp, path, wanted, call))) return sftp.chmod(path, wanted.mode)
        if (there === 'taken') taken(path)
        if (offset > 0) {
          const has = await unfinished.size(sftp, part, call)
          if (has === undefined) await unfinished.remove(sftp, part)
          if (has === undefined || has < offset) fail('failed', `what was written of '${path}' is gone`, { subject: path, remedy: 'begin anew' })
        }
        const handle = offset > 0 ? await unfinished.opened(sftp, part) : await unfinished.fresh(sftp, part)
        try {
          const { at, sha256 } = await departing(sftp, handle, { offset, sizeBytes: wanted.sizeBytes, bytes }).catch(async (fault: unknown) => {
            // What the guest cannot write is taken away again: a full disk is not left full.
            if (codeOf(fault) === status.failure) await sftp.unlink(part).catch(() => undefined)
            throw fault
          })
          if (at < wanted.sizeBytes) fail('failed', `there were fewer bytes than the ${wanted.sizeBytes} that were said`, { subject: path })
          const whole = at > wanted.sizeBytes ? undefined : (sha256 ?? (await digest(sftp, part, wanted.sizeBytes, call)))
          if (whole !== wanted.sha256) {
            await sftp.unlink(part)
            fail('failed', whole === undefined ? `there were more bytes than the ${wanted.sizeBytes} that were said` : `the bytes of '${path}' have another sha256 than was said`, { subject: path })
          }
          // By what is open: the name may be somebody else's by now.
          await sftp.chmodOpen(handle, wanted.mode)
          await unfinished.tidy(sftp, part)
        } finally {
          await sftp.close(handle).catch(() => undefined)
        }
        if (wanted.overwrite) await sftp.rename(part, path)
        else await sftp.link(part, path).catch(async (fault: unknown) => ((await sftp.lstat(path)) ? (await sftp.unlink(part), taken(path)) : Promise.reject(fault)))
      }
      await refused(path, () => unfinished.alone(part, writing, call))
    },
    async makeDirectory(path, mode, call) {
      checkMode(path, mode)
      const sftp = await begin(path, call)
      await refused(path, async () => {
        await sftp.mkdir(path, mode).catch(async (fault: unknown) => {
          const there = await sftp.lstat(path)
          if (!there) throw fault
          if (!there.isDirectory()) fail('exists', `'${path}' is in the guest already, and is no directory`, { subject: path })
        })
        await sftp.chmod(path, mode)
      })
    },
    async makeLink(path, { target, overwrite }, call) {
      checkTarget(path, target)
      const sftp = await begin(path, call)
      await refused(path, async () => {
        const made = await sftp.symlink(target, path).then(
          () => true,
          async (fault: unknown) => {
            const there = await sftp.lstat(path)
            if (!there) throw fault
            if (there.isDirectory()) fail('exists', `'${path}' in the guest is a directory`, { subject: path })
            return there.isSymbolicLink() && (await sftp.readlink(path)) === target
          },
        )
        if (made) return
        if (!overwrite) taken(path)
        const beside = strangePartOf(path, randomHex(over.world, 16))
        await sftp.symlink(target, beside)
        await sftp.rename(beside, path)
      })
    },
  }
}

async function entryOf(sftp: Sftp, path: string, name: string, attrs: Pick<Stats, 'mode' | 'size' | 'isFile' | 'isDirectory' | 'isSymbolicLink'> | { mode: number; size: number }): Promise<FileEntry | undefined> {
  const mode = attrs.mode & 0o7777
  const kind = attrs.mode & 0o170000
  if (kind === 0o100000) return { path: name, type: 'file', mode, sizeBytes: attrs.size }
  if (kind === 0o040000) return { path: name, type: 'directory', mode }
  if (kind === 0o120000) return { path: name, type: 'link', mode, target: await sftp.readlink(path) }
  return undefined
}

/** A part of the path may be no directory, which the protocol tells as if nothing were there. */
async function absentParent(sftp: Sftp, parent: string): Promise<never> {
  for (let at = parent; at !== ''; at = at.slice(0, at.lastIndexOf('/'))) {
    const found = await sftp.stat(at)
    if (found?.isDirectory()) break
    if (found) fail('invalid', `'${at}' in the guest is no directory`, { subject: parent })
  }
  return fail('not_found', `there is no directory '${parent}' in the guest`, { subject: parent })
}
