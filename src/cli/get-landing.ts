import { type Hasher, hasher, sha256 } from '../base/sha256.ts'
import { fail } from '../model/errors.ts'
import type { FileEntry, Part } from '../model/session.ts'
import { type LocalFiles, type LocalPart, partLead } from './local-files.ts'
import { digestOf } from './push-source.ts'

/** Where what comes from one VM is put: under another name beside its own until it is whole. */
export interface Landing {
  entry(entry: FileEntry, offset: number): Promise<void>
  bytes(data: Uint8Array): Promise<void>
  /** The file is whole, by the guest's word. */
  entryEnd(sha256: string): Promise<void>
  /** All has come: it gets its name. */
  done(): Promise<void>
  /** Nothing more comes; what is there stays for the next time, if it is anything. */
  leave(): Promise<void>
}

/** Nobody on this machine is to run a guest's file as another user. */
const modeOf = ({ mode }: FileEntry) => mode & 0o777

/**
 * Entries come from a guest, which may send what it likes: each has to lie in a directory that it sent before, links are made last and so never lead what is written elsewhere, and
 * nothing beside `target` is touched.
 */
export function landing(files: LocalFiles, { target, overwrite }: { target: string; overwrite: boolean }): Landing {
  const root = partPath(files, target)
  const directories = new Map<string, number>()
  const links: { place: string; to: string }[] = []
  let open: { part: LocalPart; at: string; place: string; entry: FileEntry; hash: Hasher } | undefined
  let rootType: FileEntry['type'] | undefined

  const placeOf = (path: string): string => {
    const parts = path.split('/')
    if (path.includes('\0') || parts.some((part) => part === '' || part === '.' || part === '..' || part.startsWith(partLead))) fail('failed', `the guest sent something at ${JSON.stringify(path.slice(0, 100))}, which is no place for it`)
    if (!directories.has(parts.slice(0, -1).join('/'))) fail('failed', `the guest sent ${JSON.stringify(path.slice(0, 100))} before its directory`)
    return files.join(root, ...parts)
  }
  /** Whatever else was left there by an earlier time gives way. */
  const cleared = async (place: string, type: 'file' | 'directory' | 'nothing') => {
    const there = await files.stat(place)
    if (there && there.type !== type) await files.remove(place)
  }
  const close = async () => {
    await open?.part.close()
    open = undefined
  }
  /** Takes away what came last and holds nothing yet, up to the root if nothing has come at all. */
  const tidied = async (last: string | undefined) => {
    const thing = last === undefined ? undefined : await files.stat(last)
    if (last !== undefined && thing?.type === 'file' && thing.sizeBytes === 0) await files.remove(last)
    for (const path of [...directories.keys()].reverse()) {
      const place = path === '' ? root : files.join(root, path)
      if ((await files.list(place)).length > 0) return
      await files.remove(place)
    }
  }
  return {
    async entry(entry, offset) {
      await close()
      const { path, type } = entry
      if (path === '' ? rootType !== undefined : rootType !== 'directory') fail('failed', 'the guest sent more than one thing')
      if (path === '') rootType = type
      const place = path === '' ? root : placeOf(path)
      if (type === 'link') links.push({ place, to: entry.target ?? '' })
      else if (type === 'directory') {
        await cleared(place, 'directory')
        await files.makeDirectory(place, 0o700)
        directories.set(path, modeOf(entry))
      } else {
        const at = path === '' ? root : partPath(files, place)
        await cleared(at, 'file')
        if (offset > 0 && path !== '' && !(await files.stat(at))) await files.rename(place, at, { overwrite: true })
        const part = await files.open(at)
        if (part.sizeBytes < offset) fail('failed', 'the guest goes on where nothing is')
        await part.cut(offset)
        const hash = hasher()
        for await (const piece of offset > 0 ? files.read(at) : []) hash.update(piece)
        open = { part, at, place, entry, hash }
      }
    },
    async bytes(data) {
      if (!open) return fail('failed', 'the guest sent bytes that belong to no file')
      open.hash.update(data)
      await open.part.write(data)
    },
    async entryEnd(told) {
      if (!open) return fail('failed', 'the guest ended a file that it had not begun')
      const { at, place, entry, hash } = open
      await close()
      if (hash.hex() !== told) {
        await files.remove(at)
        fail('failed', `what came of ${entry.path === '' ? 'the file' : entry.path} is not what the guest has read: its sha256 is another`, { remedy: 'get it again' })
      }
      await files.setMode(at, modeOf(entry))
      if (at !== place) await files.rename(at, place, { overwrite: true })
    },
    async done() {
      if (open || rootType === undefined) fail('failed', 'the guest ended before all had come')
      for (const { place, to } of links) {
        await cleared(place, 'nothing')
        await files.makeLink(place, to)
      }
      for (const [path, mode] of [...directories].reverse()) await files.setMode(path === '' ? root : files.join(root, path), mode)
      await settled(files, root, { target, overwrite })
    },
    async leave() {
      const last = open?.at ?? (rootType === 'file' ? root : undefined)
      await close()
      await tidied(last).catch(() => undefined) // What cannot be removed is no reason to fail: something else was.
    },
  }
}

/** The name of what is not whole yet: of a long name only the digest, for there is a limit. */
function partPath(files: LocalFiles, target: string): string {
  const name = files.nameOf(target)
  return files.join(files.directoryOf(target), partLead + (Buffer.byteLength(name) > 200 ? sha256(name).slice(0, 32) : name))
}

const elsewhere = 'move it away, or fetch to another place by --to'

/** What is whole gets its name. A directory that is there already is filled up, thing by thing. */
async function settled(files: LocalFiles, from: string, { target, overwrite }: { target: string; overwrite: boolean }): Promise<void> {
  const there = await files.stat(target)
  const came = await files.stat(from)
  const isDirectory = there?.type === 'directory'
  if (there && isDirectory !== (came?.type === 'directory')) fail('exists', `${target} is there and ${isDirectory ? 'a' : 'no'} directory`, { remedy: `nothing takes the place of a directory, and a directory of nothing: ${elsewhere}` })
  if (there && !overwrite) fail('exists', `${target} is there already`, { remedy: `say --overwrite to ${isDirectory ? 'fill it up' : 'take its place'}, or ${elsewhere}` })
  if (!there || came?.type !== 'directory') return files.rename(from, target, { overwrite: there !== undefined })
  await files.setMode(from, 0o700)
  for (const name of await files.list(from)) await settled(files, files.join(from, name), { target: files.join(target, name), overwrite })
  await files.remove(from)
  await files.setMode(target, came.mode)
}

/** Of a directory that broke off, files of at least this size are not fetched again, and no more of them than so many: each has to be named. */
const worthBytes = 256 * 1024
const mostNamed = 200

/** What of a target is there from an earlier time, by the names a request has for it. */
export async function partsOf(files: LocalFiles, { vm, target, signal }: { vm: string; target: string; signal: AbortSignal }): Promise<Record<string, Part>> {
  const have: Record<string, Part> = {}
  const root = partPath(files, target)
  const stack = [{ place: root, key: vm }]
  for (let next = stack.pop(); next && Object.keys(have).length < mostNamed; next = stack.pop()) {
    const thing = await files.stat(next.place)
    if (thing?.type === 'directory')
      for (const name of await files.list(next.place)) stack.push({ place: files.join(next.place, name), key: `${next.key}/${name.startsWith(partLead) ? name.slice(partLead.length) : name}` })
    if (thing?.type !== 'file' || thing.sizeBytes < (next.place === root ? 1 : worthBytes) || next.key.length > 255) continue
    const { sha256: digest, sizeBytes: bytes } = await digestOf(files, next.place, { signal })
    have[next.key] = { bytes, sha256: digest }
  }
  return have
}
