import { posix } from 'node:path'
import { hasher } from '../../../base/sha256.ts'
import type { Call } from '../../../model/call.ts'
import { fail, problemOf, TtError } from '../../../model/errors.ts'
import type { FileEntry } from '../../../model/session.ts'
import type { GuestFiles, NewFile } from '../../channel/channel.ts'
import type { FakeDisks, Node } from './fake-disks.ts'
import { directories } from './process.ts'

const mostThings = 10_000
const mostBytes = 16 * 2 ** 30
/** What was written of a file that is not whole yet lies at a path that cannot be one: the file's, and what it is to be. */
const partMark = '\0'

/** Runs some work in the guest: once it answers, and until it goes or the call ends. */
export type Inside = <T>(call: Call | undefined, work: (signal: AbortSignal) => Promise<T>) => Promise<T>

/** The files of one fake guest. It has a few directories by birth, and what it is given. */
export function fakeFiles(id: string, disks: FakeDisks, run: Inside): GuestFiles {
  const { blobs } = disks
  const inside = async <T>(path: string, call: Call | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    try {
      checkPath(path)
      return await run(call, work)
    } catch (thrown) {
      throw thrown instanceof TtError && thrown.subject === undefined && thrown !== call?.signal?.reason ? new TtError({ ...problemOf(thrown), subject: path }, thrown) : thrown
    }
  }
  const nodeAt = (path: string): Node | undefined => disks.get(id, path) ?? (directories.includes(path) ? { type: 'directory', mode: path === '/tmp' ? 0o1777 : 0o755 } : undefined)

  /** The path with every link on the way followed, its last part not, as Linux does it. */
  const placed = (path: string): string => {
    const ahead = namesIn(path)
    let place = '/'
    for (let hops = 0, name = ahead.shift(); name !== undefined; name = ahead.shift()) {
      const { type } = nodeAt(place) ?? fail('not_found', `there is no directory ${place} in the guest`)
      if (type !== 'directory') fail('invalid', `${place} is no directory`)
      const next = posix.join(place, name)
      const node = nodeAt(next)
      if (node?.type === 'link' && ahead.length > 0) {
        if (++hops > 40) fail('invalid', `too many links on the way to ${path}`)
        if (node.target?.startsWith('/')) place = '/'
        ahead.unshift(...namesIn(node.target ?? ''))
      } else place = next
    }
    return place
  }
  const fileAt = (path: string): { node: Node; blob: string; sizeBytes: number } => {
    const node = nodeAt(placed(path)) ?? fail('not_found', `there is no ${path} in the guest`)
    return node.type === 'file' && node.blob !== undefined ? { node, blob: node.blob, sizeBytes: node.sizeBytes ?? 0 } : fail('invalid', `${path} is no file`)
  }
  const checkRoom = (more: number) => {
    const paths = disks.paths(id)
    if (paths.length >= mostThings) fail('exhausted', `a fake guest holds at most ${mostThings} things`)
    const sum = paths.reduce((all, path) => all + (disks.get(id, path)?.sizeBytes ?? 0), 0)
    if (sum + more > mostBytes) fail('exhausted', 'no space left on the disk of the fake guest')
  }
  /** Refuses if something else is at the place of what is to come. */
  const checkFree = (path: string, { overwrite, isSame }: { overwrite?: boolean; isSame: (node: Node) => boolean }): Node | undefined => {
    const node = nodeAt(path)
    if (!node || isSame(node)) return node
    if (node.type === 'directory') fail('exists', `${path} is a directory`)
    if (!overwrite) fail('exists', `there is something else at ${path} already`, { remedy: 'say that it is to be overwritten' })
    return node
  }
  const isThis = ({ sizeBytes, sha256 }: NewFile) => (node: Node) => node.type === 'file' && node.sizeBytes === sizeBytes && node.sha256 === sha256
  /** Where the part of this very file is, and was left. */
  const partPath = (place: string, { sizeBytes, sha256 }: NewFile) => `${place}${partMark}${sizeBytes} ${sha256}`

  return {
    stat: (path, call) =>
      inside(path, call, async () => {
        let place: string
        try {
          place = placed(path)
        } catch (thrown) {
          if ((thrown as { code?: string }).code === 'not_found') return undefined
          throw thrown
        }
        const node = nodeAt(place)
        return node && entryOf('', node)
      }),
    async *list(path, call) {
      const found = await inside(path, call, async () => {
        const place = placed(path)
        const node = nodeAt(place) ?? fail('not_found', `there is no ${path} in the guest`)
        if (node.type !== 'directory') fail('invalid', `${path} is no directory`)
        const all = new Set([...directories, ...disks.paths(id)])
        return [...all].flatMap((one) => (one !== '/' && !one.includes(partMark) && posix.dirname(one) === place ? [entryOf(posix.basename(one), nodeAt(one) as Node)] : []))
      })
      yield* found
    },
    digest: (path, { bytes } = {}, call) =>
      inside(path, call, async (signal) => {
        const { blob, sizeBytes } = fileAt(path)
        return (bytes ?? 0) > sizeBytes ? undefined : digestOf(blobs.read(blob, { to: bytes ?? sizeBytes }), signal)
      }),
    read: (path, { offset = 0, output }, call) =>
      inside(path, call, async (signal) => {
        const { blob, sizeBytes } = fileAt(path)
        if (offset > sizeBytes) fail('invalid', `it has ${sizeBytes} bytes, and none at ${offset}`)
        const hash = hasher()
        let at = 0
        for await (const piece of blobs.read(blob)) {
          signal.throwIfAborted()
          hash.update(piece)
          const before = Math.max(0, offset - at)
          at += piece.length
          if (before < piece.length) await output(piece.subarray(before))
        }
        return { sha256: hash.hex() }
      }),
    offer: (path, file, call) =>
      inside(path, call, async () => {
        checkFile(file)
        const place = placed(path)
        const there = checkFree(place, { overwrite: file.overwrite, isSame: isThis(file) })
        if (there && isThis(file)(there)) {
          await disks.put(id, place, { ...there, mode: file.mode })
          return file.sizeBytes
        }
        const part = disks.get(id, partPath(place, file))
        // One that is whole and has no name yet wants its last byte once more, and with it the name.
        return part?.blob === undefined ? 0 : Math.max(0, Math.min(blobs.sizeOf(part.blob), file.sizeBytes - 1))
      }),
    write: (path, { offset, ...file }, bytes, call) =>
      inside(path, call, async (signal) => {
        checkFile(file)
        if (offset > file.sizeBytes) fail('invalid', `a file of ${file.sizeBytes} bytes cannot go on at ${offset}`)
        const place = placed(path)
        const there = checkFree(place, { overwrite: file.overwrite, isSame: isThis(file) })
        if (there && isThis(file)(there)) return disks.put(id, place, { ...there, mode: file.mode })
        checkRoom(file.sizeBytes)
        const partAt = partPath(place, file)
        const blob = disks.get(id, partAt)?.blob ?? blobs.make()
        const part: Node = { type: 'file', mode: file.mode, sizeBytes: file.sizeBytes, sha256: file.sha256, blob }
        await disks.put(id, partAt, part)
        if (offset > blobs.sizeOf(blob)) fail('invalid', `of this file only ${blobs.sizeOf(blob)} bytes are there`)
        blobs.truncate(blob, offset)
        const hash = hasher()
        for await (const piece of blobs.read(blob)) hash.update(piece)
        let at = offset
        for await (const piece of bytes) {
          signal.throwIfAborted()
          at += piece.length
          if (at > file.sizeBytes) fail('failed', `more bytes came than the ${file.sizeBytes} of the file`)
          blobs.append(blob, piece)
          hash.update(piece)
        }
        if (at < file.sizeBytes) fail('failed', `${at} of ${file.sizeBytes} bytes came`)
        if (hash.hex() !== file.sha256) {
          await disks.remove(id, partAt)
          fail('failed', `the bytes of ${path} are not those that were announced: their sha256 is another`)
        }
        checkFree(place, { overwrite: file.overwrite, isSame: isThis(file) })
        await disks.put(id, place, part)
        await disks.remove(id, partAt)
      }),
    makeDirectory: (path, mode, call) =>
      inside(path, call, async () => {
        const place = placed(path)
        const node = nodeAt(place)
        checkMode(mode)
        if (node && node.type !== 'directory') fail('exists', `${path} is there and no directory`)
        if (!node) checkRoom(0)
        await disks.put(id, place, { type: 'directory', mode })
      }),
    makeLink: (path, { target, overwrite }, call) =>
      inside(path, call, async () => {
        if (target === '' || target.length > 4095 || target.includes('\0')) fail('invalid', 'a link has to lead somewhere')
        const place = placed(path)
        const there = checkFree(place, { overwrite, isSame: (node) => node.type === 'link' && node.target === target })
        if (!there) checkRoom(0)
        await disks.put(id, place, { type: 'link', mode: 0o777, target })
      }),
  }
}

/** What a path leads through; a slash at its end says that it is a directory. */
const namesIn = (path: string): string[] => path.replace(/\/$/, '/.').split('/').filter((name) => name !== '')

function checkPath(path: string): void {
  if (!path.startsWith('/') || path.includes('\0')) fail('invalid', `${JSON.stringify(path.slice(0, 200))} is no absolute path`)
  if (Buffer.byteLength(path) > 4095 || path.split('/').some((part) => Buffer.byteLength(part) > 255)) fail('invalid', 'the path, or a name in it, is too long')
}

function checkFile({ sizeBytes, sha256, mode }: NewFile): void {
  checkMode(mode)
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) fail('invalid', `${sizeBytes} is no size of a file`)
  if (!/^[0-9a-f]{64}$/.test(sha256)) fail('invalid', 'the sha256 is none')
}

function checkMode(mode: number): void {
  if (!Number.isInteger(mode) || mode < 0 || mode > 0o7777) fail('invalid', `${mode} is no mode`)
}

const entryOf = (path: string, { type, mode, sizeBytes, target }: Node): FileEntry => ({ path, type, mode, ...(type === 'file' ? { sizeBytes: sizeBytes ?? 0 } : {}), ...(type === 'link' ? { target } : {}) })

async function digestOf(pieces: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<string> {
  const hash = hasher()
  for await (const piece of pieces) {
    signal.throwIfAborted()
    hash.update(piece)
  }
  return hash.hex()
}
