import { passed } from '../base/garbage.ts'
import { gate } from '../base/queue.ts'
import type { GuestFiles } from '../drivers/channel/channel.ts'
import { fail } from '../model/errors.ts'
import type { FileEntry } from '../model/session.ts'
import type { WaysIn } from './session-guest.ts'
import { eachVm, type Part, type Scene } from './session-scene.ts'
import { type Patience, patience, readingMs } from './transfer-patience.ts'
import { basePath, filesOf, type Get, placeOf, transferMs } from './transfers.ts'

/** VMs that are read at the same time: they share one connection, and more of them only wait for each other. */
const readAtOnce = 32

/** A guest names what it likes: no more than so many things, and none deeper than this. */
const mostEntries = 1_000_000
const mostInDirectory = 100_000
const deepest = 100
const longestPath = 4096

/** Files out of every VM, as they are read. */
export async function serveGet(parts: WaysIn, request: Get, scene: Scene): Promise<void> {
  const base = basePath(request.path)
  const turns = gate(request.atOnce ?? readAtOnce)
  await eachVm(scene, (part) => turns.pass(() => send(parts, { request, base }, part), part.signal))
}

async function send(parts: WaysIn, { request, base }: { request: Get; base: string }, part: Part): Promise<void> {
  const { target, out, signal } = part
  let path = base
  using watch = patience({ world: parts.world, limitMs: request.timeoutMs ?? transferMs, signal, what: () => `${path} was read` })
  const files = await filesOf(parts, { target, via: request.via, signal })
  const named = await watch.during((inTime) => followed(files, base, inTime))
  // Depth first, and what is in a directory by name. The stack holds the names of the directories on the way down only.
  const stack: FileEntry[] = [named.entry]
  for (let count = 1; stack.length > 0; count++) {
    if (count > mostEntries) fail('too_large', `${base} has more than ${mostEntries} things in it`)
    const entry = stack.pop() as FileEntry
    path = placeOf(named.path, entry.path)
    if (entry.type === 'file') await sendFile({ path, entry }, { ...part, files, watch, request })
    else await out.send({ type: 'entry', vm: target.vm, entry })
    if (entry.type !== 'directory') continue
    const found = await watch.during((inTime) => listed(files, { path, entry, watch, signal: inTime }))
    if (count + stack.length + found.length > mostEntries) fail('too_large', `${base} has more than ${mostEntries} things in it`)
    stack.push(...found.reverse())
  }
  signal.throwIfAborted()
  out.tell({ type: 'exit', vm: target.vm, code: 0 })
}

/** As many links as Linux follows: https://man7.org/linux/man-pages/man7/path_resolution.7.html */
const mostHops = 40

/** What the caller has named. If that is a link, what it leads to is meant. */
export async function followed(files: GuestFiles, base: string, signal: AbortSignal): Promise<{ path: string; entry: FileEntry }> {
  let path = base
  for (let hops = 0; hops <= mostHops; hops++) {
    const entry = (await files.stat(path, { signal })) ?? fail('not_found', path === base ? `there is no ${base} in the guest` : `${base} leads to ${path}, which is not there`)
    if (entry.type !== 'link') return { path, entry: { ...entry, path: '' } }
    path = beside(path, entry.target ?? '')
  }
  return fail('failed', `${base} is a link to a link, and so on without an end`)
}

/** Where a link leads, for the guest to find: its directory may lie behind other links, and `..` leads out of where those lead. */
const beside = (link: string, target: string): string => (target.startsWith('/') ? target : link.slice(0, link.lastIndexOf('/') + 1) + target)

async function listed(files: GuestFiles, { path, entry, watch, signal }: { path: string; entry: FileEntry; watch: Patience; signal: AbortSignal }): Promise<FileEntry[]> {
  if (entry.path.split('/').length > deepest) fail('too_large', `${path} lies deeper than ${deepest} directories`)
  const found: FileEntry[] = []
  for await (const one of files.list(path, { signal })) {
    watch.expect()
    const name = one.path
    if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name)) fail('failed', `the guest names something in ${path} ${JSON.stringify(name.slice(0, 100))}, which is no name`)
    const below = entry.path === '' ? name : `${entry.path}/${name}`
    if (below.length > longestPath) fail('too_large', `the path of something in ${path} is longer than ${longestPath} characters`)
    if (found.push({ ...one, path: below }) > mostInDirectory) fail('too_large', `${path} has more than ${mostInDirectory} things in it`)
  }
  return found.sort((one, two) => (one.path < two.path ? -1 : 1))
}

interface Reading extends Part {
  files: GuestFiles
  watch: Patience
  request: Get
}

async function sendFile({ path, entry }: { path: string; entry: FileEntry }, { files, watch, request, target, out }: Reading): Promise<void> {
  const { vm } = target
  const have = request.have?.[entry.path === '' ? vm : `${vm}/${entry.path}`]
  const isSame = have && have.bytes > 0 && (await watch.during((signal) => files.digest(path, { bytes: have.bytes }, { signal }), { moreMs: readingMs(have.bytes) })) === have.sha256
  const offset = isSame ? have.bytes : 0
  const { sha256: _, ...plain } = entry
  await out.send({ type: 'entry', vm, entry: plain, offset })
  const output = (data: Uint8Array) => {
    passed(data.length)
    const room = out.send({ type: 'stdout', vm, data })
    if (!room) return watch.expect()
    watch.rest()
    return room.then(() => watch.expect())
  }
  const { sha256 } = await watch.during((signal) => files.read(path, { offset, output, ...(entry.sizeBytes === undefined ? {} : { sizeBytes: entry.sizeBytes }) }, { signal }), { moreMs: readingMs(offset) })
  await out.send({ type: 'entry-end', vm, sha256 })
}
