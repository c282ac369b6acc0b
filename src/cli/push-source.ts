import { hasher } from '../base/sha256.ts'
import type { Call } from '../model/call.ts'
import { fail } from '../model/errors.ts'
import type { FileEntry } from '../model/session.ts'
import { absent, type LocalFiles } from './local-files.ts'

/** What is pushed: things as they are sent, each with where it lies here. */
export interface Source {
  /** Directories before what is in them. */
  items: { entry: FileEntry; path: string }[]
  totalBytes: number
  /** Things that are neither file nor directory nor link. */
  left: string[]
}

/** A file, or a directory with everything in it. If a link is named, what it leads to is meant; links in a directory stay links. */
export async function sourceAt(files: LocalFiles, path: string, call: Call): Promise<Source> {
  const source: Source = { items: [], totalBytes: 0, left: [] }
  const found = (await files.stat(path, { follow: true })) ?? absent(path, 'file or directory')
  if (found.type === 'other') fail('invalid', `${path} is neither a file nor a directory`)
  const stack = [{ path, below: '', thing: found }]
  for (let next = stack.pop(); next; next = stack.pop()) {
    call.signal?.throwIfAborted()
    const { thing, below } = next
    const { type, mode, sizeBytes } = thing
    if (type === 'other') {
      source.left.push(next.path)
      continue
    }
    source.items.push({ path: next.path, entry: { path: below, type, mode, ...(type === 'file' ? { sizeBytes } : {}), ...(type === 'link' ? { target: await files.targetOf(next.path) } : {}) } })
    if (type === 'file') source.totalBytes += sizeBytes
    if (type !== 'directory') continue
    for (const name of (await files.list(next.path)).reverse()) {
      const inner = files.join(next.path, name)
      const one = await files.stat(inner)
      if (one) stack.push({ path: inner, below: below === '' ? name : `${below}/${name}`, thing: one })
    }
  }
  return source
}

/** The sha256 of a file, or of its first bytes. */
export async function digestOf(files: LocalFiles, path: string, { bytes = Infinity, signal }: { bytes?: number; signal?: AbortSignal } = {}): Promise<{ sha256: string; sizeBytes: number }> {
  const hash = hasher()
  let at = 0
  for await (const piece of files.read(path)) {
    signal?.throwIfAborted()
    const wanted = piece.subarray(0, bytes - at)
    hash.update(wanted)
    at += wanted.length
    if (at >= bytes) break
  }
  return { sha256: hash.hex(), sizeBytes: at }
}
