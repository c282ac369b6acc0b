import type { World } from '../base/world.ts'
import type { Call } from '../model/call.ts'
import { fail } from '../model/errors.ts'
import type { Session, SessionFrame, SessionInput } from '../model/session.ts'
import type { LocalFiles } from './local-files.ts'
import { digestOf, type Source } from './push-source.ts'

/** What the VMs have answered so far, kept by whoever reads the session. */
export interface Answers {
  heard(frame: SessionFrame): void
  /** No more will come. */
  end(): void
  /** The lowest offset at which the file of this number is wanted, once every VM that goes on has said so; undefined if none goes on. */
  wanted(file: number): Promise<number | undefined>
}

/** A VM that was expected and has not even begun is waited for no longer than this: it may be gone by now. */
const beginMs = 5000

export function answers(expected: readonly string[], { world, signal }: { world: World; signal: AbortSignal }): Answers {
  const unbegun = new Set(expected)
  const open = new Map<string, number[]>()
  let ended = false
  let news = Promise.withResolvers<void>()
  const rouse = () => {
    news.resolve()
    news = Promise.withResolvers()
  }
  signal.addEventListener('abort', rouse, { once: true })
  const lacking = (file: number) => [...open.values()].some((offsets) => offsets.length <= file)
  return {
    heard(frame) {
      if (!('vm' in frame) || frame.vm === undefined) return
      if (frame.type === 'begin') {
        open.set(frame.vm, [])
        unbegun.delete(frame.vm)
      } else if (frame.type === 'wants') open.get(frame.vm)?.push(frame.offset)
      else if (frame.type === 'exit' || frame.type === 'problem') open.delete(frame.vm)
      else return
      rouse()
    },
    end() {
      ended = true
      rouse()
    },
    async wanted(file) {
      if (unbegun.size > 0) {
        const stop = world.after(beginMs, () => {
          unbegun.clear()
          rouse()
        })
        while (!ended && !signal.aborted && unbegun.size > 0) await news.promise
        stop()
      }
      while (!ended && !signal.aborted && open.size > 0 && lacking(file)) await news.promise
      signal.throwIfAborted()
      const offsets = [...open.values()].map((all) => all[file] ?? 0)
      return ended || offsets.length === 0 ? undefined : Math.min(...offsets)
    },
  }
}

/** A file that is no larger is sent at once: asking first would take longer. */
const smallBytes = 64 * 1024

/** Sends the source, each file from where it is wanted. Ends quietly when nobody takes it any more: their frames say why. */
export async function tellPush({ input }: Session, { items }: Source, parts: { files: LocalFiles; heard: Answers; call: Call }): Promise<void> {
  const { files, heard, call } = parts
  const writer = input.getWriter()
  let listens = true
  const say = async (frame: SessionInput) => {
    if (listens) await writer.write(frame).catch(() => (listens = false))
  }
  let count = 0
  for (const { entry, path } of items) {
    if (entry.type !== 'file') {
      await say({ type: 'entry', entry })
      continue
    }
    const { sizeBytes = 0 } = entry
    const { sha256, sizeBytes: seen } = await digestOf(files, path, { signal: call.signal })
    if (seen !== sizeBytes) changed(path)
    await say({ type: 'entry', entry: { ...entry, sha256 } })
    const from = sizeBytes <= smallBytes ? 0 : await heard.wanted(count)
    count++
    if (from === undefined || !listens) break
    await say({ type: 'from', offset: from })
    let at = from
    for await (const data of files.read(path, from)) {
      call.signal?.throwIfAborted()
      at += data.length
      if (at > sizeBytes) changed(path)
      await say({ type: 'stdin', data })
      if (!listens || at === sizeBytes) break
    }
    if (listens && at < sizeBytes) changed(path)
  }
  await say({ type: 'eof' })
  await writer.close().catch(() => undefined)
}

const changed = (path: string): never => fail('failed', `${path} changes while it is read`, { remedy: 'push it again when nobody writes it' })
