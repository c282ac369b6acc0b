import type { Cloud } from './cloud.ts'
import type { FileEntry, SessionFrame, SessionRequest } from './session.ts'

/** Files and directories pushed and fetched as a careful caller does it, held in memory: for suites and tests. */

export interface Item {
  entry: FileEntry
  bytes?: Buffer
}

export const sha256 = async (bytes: Uint8Array): Promise<string> => Buffer.from(await crypto.subtle.digest('SHA-256', Uint8Array.from(bytes))).toString('hex')
/** Bytes that look alike nowhere. */
export function patternOf(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length)
  let state = seed
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
    bytes[at] = state >> 16
  }
  return bytes
}
export const fileOf = async (path: string, bytes: Buffer, mode = 0o644): Promise<Item> => ({ entry: { path, type: 'file', mode, sizeBytes: bytes.length, sha256: await sha256(bytes) }, bytes })
export const directoryOf = (path: string, mode = 0o755): Item => ({ entry: { path, type: 'directory', mode } })
export const linkOf = (path: string, target: string): Item => ({ entry: { path, type: 'link', mode: 0o777, target } })

type Where = { envs: string[]; indices?: number[]; path: string }

/** Sends the items as a careful caller does: bytes of a file from where the one that has least of it wants them. */
export async function push(cloud: Cloud, { envs, indices, ...request }: Where & Partial<Extract<SessionRequest, { type: 'push' }>>, items: Item[]): Promise<SessionFrame[]> {
  await using session = await cloud.open({ type: 'push', vms: { envs, ...(indices ? { indices } : {}) }, ...request })
  const frames: SessionFrame[] = []
  let news = Promise.withResolvers<void>()
  let ended = false
  const read = async () => {
    try {
      for await (const frame of session.output) {
        frames.push(frame)
        news.resolve()
        news = Promise.withResolvers()
      }
    } finally {
      ended = true
      news.resolve()
    }
  }
  const write = async () => {
    const writer = session.input.getWriter()
    const say = (input: Parameters<typeof writer.write>[0]) => writer.write(input).catch(() => undefined)
    let files = 0
    for (const { entry, bytes } of items) {
      await say({ type: 'entry', entry })
      if (!bytes) continue
      files++
      const waiting = () => frames.flatMap((frame) => (frame.type === 'begin' ? [frame.vm] : [])).filter((vm) => !isOver(frames, vm) && (wanted(frames)[vm]?.length ?? 0) < files)
      while (!ended && (waiting().length > 0 || frames.length === 0)) await news.promise
      const living = Object.entries(wanted(frames)).flatMap(([vm, offsets]) => (isOver(frames, vm) ? [] : [offsets[files - 1] ?? 0]))
      if (living.length === 0) break
      const from = Math.min(...living)
      await say({ type: 'from', offset: from })
      for (let at = from; at < bytes.length; at += 60_000) await say({ type: 'stdin', data: bytes.subarray(at, at + 60_000) })
    }
    await say({ type: 'eof' })
  }
  await Promise.all([read(), write()])
  return frames
}

const isOver = (frames: SessionFrame[], vm: string) => frames.some((frame) => (frame.type === 'exit' || frame.type === 'problem') && frame.vm === vm)

/** The offsets each VM has asked for. */
export function wanted(frames: SessionFrame[]): Record<string, number[]> {
  const all: Record<string, number[]> = {}
  for (const frame of frames) if (frame.type === 'wants' && frame.vm !== undefined) (all[frame.vm] ??= []).push(frame.offset)
  return all
}

export interface Fetched {
  files: { entry: FileEntry; offset?: number; bytes: Buffer; sha256?: string }[]
  /** Its last frame, or the code of its problem. */
  end?: SessionFrame | string
}

export async function fetched(cloud: Cloud, { envs, indices, ...request }: Where & Partial<Extract<SessionRequest, { type: 'get' }>>): Promise<Map<string, Fetched>> {
  await using session = await cloud.open({ type: 'get', vms: { envs, ...(indices ? { indices } : {}) }, ...request })
  const all = new Map<string, Fetched>()
  for await (const frame of session.output) {
    if (!('vm' in frame) || frame.vm === undefined) continue
    const own = all.get(frame.vm) ?? { files: [] }
    all.set(frame.vm, own)
    const last = own.files.at(-1)
    if (frame.type === 'entry') own.files.push({ entry: frame.entry, offset: frame.offset, bytes: Buffer.alloc(0) })
    else if (frame.type === 'stdout' && last) last.bytes = Buffer.concat([last.bytes, frame.data])
    else if (frame.type === 'entry-end' && last) last.sha256 = frame.sha256
    else if (frame.type === 'problem') own.end = frame.problem.code
    else if (frame.type === 'exit') own.end = frame
  }
  return all
}
