import { fan, type Lane } from '../base/fan.ts'
import { passed } from '../base/garbage.ts'
import { type Gate, gate } from '../base/queue.ts'
import type { GuestFiles, NewFile } from '../drivers/channel/channel.ts'
import { asTtError, fail, TtError } from '../model/errors.ts'
import type { FileEntry, SessionInput } from '../model/session.ts'
import type { WaysIn } from './session-guest.ts'
import { eachVm, type Part, type Scene } from './session-scene.ts'
import { type Patience, patience, readingMs } from './transfer-patience.ts'
import { basePath, filesOf, placeOf, type Push, transferMs } from './transfers.ts'

/** What the caller says, once it is known to make sense. */
type Step = { type: 'entry'; entry: FileEntry } | { type: 'from'; offset: number } | { type: 'data'; data: Uint8Array }

/**
 * So far the fastest VM of a host may be ahead of its slowest. The caller sends its bytes once and the host keeps none of them on disk, so all VMs take part at the same time and a slow
 * one holds the others to its pace, but one that does not take a piece within the time limit is left behind. The bound on how many work at once is therefore not on receiving, where
 * those that wait for their turn would hold up all, but on what costs the guests something before the first byte: looking at what they have, and digesting it.
 */
const aheadBytes = 1 << 20
const lookingAtOnce = 64

const progressMs = 250

/** Files from the caller into every VM. */
export async function servePush(parts: WaysIn, request: Push, scene: Scene): Promise<void> {
  const steps = fan<Step>({ sizeOf: (step) => ('data' in step ? step.data.length : 200), limitBytes: aheadBytes })
  const lanes = new Map(scene.targets.map((target) => [target, steps.lane()]))
  const looking = gate(request.atOnce ?? lookingAtOnce)
  const receiving = eachVm(scene, async (part) => {
    const lane = lanes.get(part.target) as Lane<Step>
    try {
      await receive(parts, { request, looking }, { part, lane })
    } finally {
      lane.leave()
      lanes.delete(part.target)
      if (lanes.size === 0) scene.said.end() // Whoever still speaks is not to wait.
    }
  })
  try {
    for await (const step of story(scene.said)) await steps.give(step)
    steps.end()
  } catch (thrown) {
    steps.end(thrown as Error)
  }
  await receiving
}

/** Checks the order of what is said: an entry, of a file from where its bytes come, and then all of them. Ends with `eof` or with the caller. */
async function* story(said: AsyncIterable<SessionInput>): AsyncGenerator<Step> {
  let awaited: FileEntry | undefined
  let left = 0
  for await (const input of said) {
    if (input.type === 'stdin') {
      if (awaited || input.data.length > left) fail('invalid', 'bytes came that belong to no entry')
      left -= input.data.length
      passed(input.data.length)
      yield { type: 'data', data: input.data }
      continue
    }
    // Bytes that are missing are noticed where they are awaited.
    if (input.type === 'from') {
      const { sizeBytes = 0 } = awaited ?? fail('invalid', 'no entry came whose bytes could begin')
      if (input.offset > sizeBytes) fail('invalid', `a file of ${sizeBytes} bytes cannot be sent from byte ${input.offset} on`)
      left = sizeBytes - input.offset
      awaited = undefined
      yield { type: 'from', offset: input.offset }
    } else if (awaited) fail('invalid', 'an entry was not told from where its bytes come')
    else if (input.type === 'eof') return
    else if (input.type === 'entry') {
      const { entry } = input
      if (entry.type === 'file' && (entry.sizeBytes === undefined || entry.sha256 === undefined)) fail('invalid', 'a file is sent with its size and its sha256')
      if (entry.type === 'link' && entry.target === undefined) fail('invalid', 'a link is sent with its target')
      if (entry.type === 'file') awaited = entry
      yield { type: 'entry', entry }
    } else fail('invalid', `a push does not understand ${input.type}`)
  }
}

const cutShort = (): never => fail('failed', 'the caller went away before all bytes of the file were sent', { remedy: 'the same push goes on from there' })

interface Order {
  request: Push
  looking: Gate
}

/** One VM's side: takes every step in its turn. */
async function receive(parts: WaysIn, { request, looking }: Order, { part, lane }: { part: Part; lane: Lane<Step> }): Promise<void> {
  const { target, out, signal } = part
  const base = basePath(request.path)
  if (base.endsWith('/..')) fail('invalid', `${base} does not end in a name`)
  let path = base
  using watch = patience({ world: parts.world, limitMs: request.timeoutMs ?? transferMs, signal, what: () => `${path} was written` })
  const files = await filesOf(parts, { target, via: request.via, signal })
  for (let step = await lane.next(); step; step = await lane.next()) {
    if (step.type !== 'entry') continue
    const { entry } = step
    path = placeOf(base, entry.path)
    const { type, mode, target: to = '' } = entry
    try {
      if (type === 'directory') await watch.during((inTime) => files.makeDirectory(path, mode, { signal: inTime }))
      else if (type === 'link') await watch.during((inTime) => files.makeLink(path, { target: to, overwrite: request.overwrite }, { signal: inTime }))
      else await receiveFile({ path, file: { sizeBytes: entry.sizeBytes ?? 0, sha256: entry.sha256 ?? '', mode, overwrite: request.overwrite }, name: entry.path }, { ...part, files, lane, looking, watch, world: parts.world })
    } catch (thrown) {
      throw asTtError(thrown).code === 'exists' ? await inTheWay(thrown, { path, entry, files, watch }) : thrown
    }
  }
  signal.throwIfAborted()
  out.tell({ type: 'exit', vm: target.vm, code: 0 })
}

/** What helps depends on what is there: nothing takes the place of a directory, and a directory takes the place of nothing. */
async function inTheWay(refused: unknown, { path, entry, files, watch }: { path: string; entry: FileEntry; files: GuestFiles; watch: Patience }): Promise<TtError> {
  // Whatever cannot be looked at is no directory.
  const there = await watch.during((signal) => files.stat(path, { signal })).catch(() => undefined)
  const said = (message: string, remedy: string) => new TtError({ code: 'exists', message, remedy }, refused)
  if (entry.type === 'directory') return said(`there is something at ${path} already that is no directory`, 'remove it in the guest, or send the directory elsewhere by --to: a directory takes the place of nothing')
  if (there?.type !== 'directory') return said(`there is something else at ${path} already`, 'say --overwrite to take its place, or send it elsewhere by --to')
  return said(`there is a directory at ${path} already`, `nothing takes the place of a directory: ${entry.path === '' ? `say --to ${path}/ to put it in there` : 'send it elsewhere by --to'}, or remove that one in the guest`)
}

interface Receiving extends Part {
  files: GuestFiles
  lane: Lane<Step>
  looking: Gate
  watch: Patience
  world: WaysIn['world']
}

async function receiveFile({ path, file, name }: { path: string; file: NewFile; name: string }, { files, lane, looking, watch, world, target, out }: Receiving): Promise<void> {
  const { sizeBytes } = file
  const { vm } = target
  const offset = await looking.pass(() => watch.during((signal) => files.offer(path, file, { signal }), { moreMs: readingMs(sizeBytes) }), watch.signal)
  if (offset > sizeBytes) fail('failed', `the guest says it has ${offset} bytes of a file of ${sizeBytes}`)
  // An empty file wants no bytes either way.
  const isThere = sizeBytes > 0 && offset === sizeBytes
  await out.send({ type: 'wants', vm, offset })
  const from = await lane.next()
  if (from?.type !== 'from') return cutShort()
  if (from.offset > offset) fail('invalid', `its bytes are sent from ${from.offset} on, and this VM wants them from ${offset} on`)
  let at = from.offset
  let told = world.ticks()
  async function* bytes(): AsyncGenerator<Uint8Array> {
    while (at < sizeBytes) {
      watch.rest()
      const step = await lane.next()
      watch.expect()
      if (step?.type !== 'data') return cutShort()
      const before = Math.max(0, offset - at)
      at += step.data.length
      if (before < step.data.length) yield step.data.subarray(before)
      if (world.ticks() - told < progressMs) continue
      told = world.ticks()
      watch.rest()
      await out.send({ type: 'progress', vm, what: name, doneBytes: at, totalBytes: sizeBytes })
    }
    watch.expect(readingMs(sizeBytes)) // It has to make sure of the whole.
  }
  if (!isThere) return watch.during((signal) => files.write(path, { ...file, offset }, bytes(), { signal }), { moreMs: readingMs(offset) })
  for await (const _ of bytes()); // Others want it.
  watch.rest()
}
