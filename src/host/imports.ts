import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { Effects } from '../base/effects.ts'
import { writeWhole } from '../base/files.ts'
import type { Log } from '../base/log.ts'
import { gate } from '../base/queue.ts'
import type { World } from '../base/world.ts'
import type { Engine } from '../drivers/engine/engine.ts'
import type { Call } from '../model/call.ts'
import { fail, reasonOf } from '../model/errors.ts'
import type { ImageOrder, SessionFrame, SessionInput } from '../model/session.ts'
import { convert } from './import-conversion.ts'
import { fetched } from './import-fetch.ts'
import { recognised } from './import-formats.ts'
import { announced, checkRoom, takenIn } from './import-intake.ts'
import { checkOrder, manifestOf, type Runners } from './import-order.ts'
import { digestOf, openPart, type Part, partKey, roomAt, sweepParts } from './import-parts.ts'
import { shownUrl } from './import-request.ts'
import type { ImportedImages } from './imported-images.ts'

export interface ImportOptions {
  /** The host's. */
  name: string
  engines: ReadonlyMap<string, Engine>
  imported: ImportedImages
  /** What the host has under a name, or is about to be rid of. */
  taken(name: string): boolean
  unwanted(name: string): boolean
  /** A new image is there to be seen. */
  onImage(): Promise<void>
  /** The largest disk, as its guest sees it, that a VM of this host could have. */
  diskLimitBytes(): number
  /** Whose rights strangers' disks are read with; undefined where the server may not change users. */
  uid?: number
  /** The environment, of which proxies are read. */
  variables: Record<string, string | undefined>
  world: World
  effects: Effects
  log: Log
}

export interface Import {
  order: ImageOrder
  inputs: AsyncIterator<SessionInput>
  tell(frame: SessionFrame): void
}

/** Makes an image of an order; resolves when it can be seen. Refused while another makes one of the same name or the same bytes. */
export type Importer = (wanted: Import, call?: Call) => Promise<void>

/** Each takes much of the disk and of a processor. */
const importsAtOnce = 2

/** How images are imported here. What an earlier server has begun is gone on with, or swept once it is old. */
export async function importer(options: ImportOptions): Promise<Importer> {
  const { imported, name: host, world, effects, log } = options
  const turns = gate(importsAtOnce)
  const busy = new Set<string>()
  const sweep = () => sweepParts(imported.partsDir, { world, effects, busy })
  await sweep().catch((fault: unknown) => log.warn('parts of old imports could not be removed', { fault: reasonOf(fault) }))
  const alone = async (key: string, what: string, subject: string): Promise<Disposable> => {
    if (busy.has(key)) fail('conflict', `${what} is being imported already`, { subject, remedy: 'wait until that has ended' })
    busy.add(key)
    return { [Symbol.dispose]: () => void busy.delete(key) }
  }
  return async ({ order: asked, inputs, tell }, call) => {
    const subject = `image/${asked.name}`
    const runners = checkOrder(asked, options.engines, host)
    using _name = await alone(asked.name, asked.name, subject)
    await checkName(options, asked, subject)
    const sent = asked.url === undefined ? await announced(inputs, subject) : undefined
    if (sent && asked.sha256 !== undefined && asked.sha256 !== sent.sha256) fail('invalid', `the sha256 of the file is ${sent.sha256}, not ${asked.sha256}`, { subject, remedy: 'see that it is the right file, and whole' })
    const order = { ...asked, ...sent }
    const key = partKey(order)
    using _key = await alone(key, 'the same disk', subject)
    await sweep()
    if (turns.busy === importsAtOnce) tell({ type: 'note', host, text: 'waits for other imports' })
    await turns.pass(async () => {
      await using part = await openPart(imported.partsDir, key, effects)
      await brought({ ...options, order, inputs, part, subject, tell }, call)
      await imaged({ ...options, order, part, subject, tell }, runners, call)
      await part.discard()
    }, call?.signal)
    await options.onImage()
    log.info('an image was imported', { image: order.name, from: order.url === undefined ? 'a file' : shownUrl(order.url) })
    tell({ type: 'built', host, image: order.name })
  }
}

async function checkName({ imported, name: host, taken, unwanted }: ImportOptions, { name, replace }: ImageOrder, subject: string): Promise<void> {
  if (unwanted(name)) fail('conflict', `${name} is being deleted`, { subject, remedy: 'call it again once it is gone' })
  const own = await imported.has(name)
  if (own && !replace) fail('exists', `${host} has an image ${name} already`, { subject, remedy: 'choose another name, or take its place by --replace' })
  if (!own && taken(name)) fail('exists', `${host} has an image ${name} that was not imported`, { subject, remedy: 'choose another name' })
}

interface Work extends ImportOptions {
  order: ImageOrder
  part: Part
  subject: string
  tell(frame: SessionFrame): void
}

const toldEveryMs = 250

/** Tells how far something is, not at every byte. */
function teller({ name: host, world, tell }: Work, what: string) {
  let last = -Infinity
  return (doneBytes: number, totalBytes: number | undefined) => {
    if (world.ticks() - last < toldEveryMs && doneBytes !== totalBytes) return
    last = world.ticks()
    tell({ type: 'progress', host, what, doneBytes, ...(totalBytes === undefined ? {} : { totalBytes }) })
  }
}

/** All bytes are here afterwards, and are the right ones. */
async function brought(work: Work & { inputs: AsyncIterator<SessionInput> }, call?: Call): Promise<void> {
  const { name: host, order, part, inputs, subject, imported, world, variables, tell } = work
  const room = () => roomAt(imported.partsDir)
  let resumed = false
  if (order.url === undefined) {
    const { sizeBytes = 0 } = order
    if (part.bytes > sizeBytes) await part.cut()
    await checkRoom(sizeBytes - part.bytes, { room, subject: `host/${host}` })
    resumed = part.bytes > 0
    tell({ type: 'wants', host, offset: part.bytes })
    await takenIn(inputs, { part, sizeBytes, room, onBytes: teller(work, 'receiving'), subject }, call)
  } else {
    const fetching = { url: order.url, part, sha256: order.sha256, room, variables, world, subject, onBytes: teller(work, 'fetching'), note: (text: string) => tell({ type: 'note', host, text }) }
    ;({ resumed } = await fetched(fetching, call))
    if (order.sha256 !== undefined && resumed && (await digestOf(part.file, call)) !== order.sha256) {
      await part.cut() // What an earlier try left was of another file.
      await fetched(fetching, call)
    }
  }
  if (order.sha256 === undefined) return
  teller(work, 'checking')(part.bytes, undefined)
  const sha256 = await digestOf(part.file, call)
  if (sha256 === order.sha256) return
  await part.discard()
  fail('invalid', `the sha256 of its ${part.bytes} bytes is ${sha256}, not ${order.sha256}`, { subject, remedy: 'see that address and digest belong together' })
}

/** An image of it, whole under its name or not there. What came stays if it cannot be one, for a try with other flags. */
async function imaged(work: Work, runners: Runners, call?: Call): Promise<void> {
  const { order, part, subject, imported, effects, uid, world, diskLimitBytes } = work
  const { kind } = await recognised(part.file, order.format, subject)
  const dir = await part.imageDir()
  const path = join(dir, 'disk.qcow2')
  const onBytes = teller(work, kind === 'qcow2' ? 'copying' : `converting from ${kind}`)
  const file = await effects.act({ kind: 'file', verb: 'make', subject: path }, async () => {
    await using target = await open(path, 'w+', 0o600)
    const { sizeBytes } = await convert({ source: part.file, kind, target, uid, diskLimitBytes: diskLimitBytes(), room: () => roomAt(imported.partsDir), onBytes, subject, world }, call)
    await target.chmod(0o644) // Guests run as users of their own.
    return { sha256: await digestOf(target, call), sizeBytes }
  })
  const manifest = manifestOf(order, { file: 'disk.qcow2', ...file }, runners)
  effects.act({ kind: 'file', verb: 'make', subject: join(dir, 'image.json') }, () => writeWhole(join(dir, 'image.json'), `${JSON.stringify(manifest, undefined, 2)}\n`, { mode: 0o644, durable: true }))
  await imported.add(order.name, dir)
}
