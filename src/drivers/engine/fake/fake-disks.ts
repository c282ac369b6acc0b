import { appendFileSync, closeSync, openSync, readdirSync, readSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { appendMap } from '../../../base/append-map.ts'
import type { Effects } from '../../../base/effects.ts'
import { randomHex, type World } from '../../../base/world.ts'

/** A thing in the file tree of a fake guest. */
export interface Node {
  type: 'file' | 'directory' | 'link'
  mode: number
  /** Of a link. */
  target?: string
  /** Of a file. */
  sizeBytes?: number
  sha256?: string
  /** Name of the file on the host that holds its bytes. */
  blob?: string
}

/** The files of all fake guests: what there is stands in one file, bytes in a file each. Costs nothing until a guest is given one, and goes with it. */
export interface FakeDisks extends Disposable {
  get(id: string, path: string): Node | undefined
  paths(id: string): string[]
  put(id: string, path: string, node: Node): Promise<void>
  /** With its bytes, unless another thing of the guest has them by now. */
  remove(id: string, path: string): Promise<void>
  drop(id: string): Promise<void>
  readonly blobs: Blobs
  /** Whether a name in the engine's directory is of these files. */
  knows(name: string): boolean
}

/** Bytes on the host, opened for each piece: thousands of guests may be written at once. */
export interface Blobs {
  make(): string
  append(blob: string, bytes: Uint8Array): void
  sizeOf(blob: string): number
  truncate(blob: string, sizeBytes: number): void
  /** From there to the end, or so many; others have their turn in between. */
  read(blob: string, range?: { from?: number; to?: number }): AsyncGenerator<Uint8Array>
  remove(blob: string): void
}

const treeFile = 'trees'
const pieceBytes = 64 * 1024
const zeroes = Buffer.alloc(pieceBytes)

export function fakeDisks(dir: string, { world, effects }: { world: World; effects: Effects }): FakeDisks {
  const file = join(dir, treeFile)
  const kept = appendMap<Node>(file, (write) => effects.act({ kind: 'file', verb: 'change', subject: file }, write))
  const trees = new Map<string, Map<string, Node>>()
  const noted = (key: string, node: Node | undefined) => {
    const end = key.indexOf('/')
    const [id, path] = [key.slice(0, end), key.slice(end)]
    const tree = trees.get(id) ?? new Map<string, Node>()
    if (node) trees.set(id, tree.set(path, node))
    else if (tree.delete(path) && tree.size === 0) trees.delete(id)
  }
  for (const key of kept.keys()) noted(key, kept.get(key))
  const blobs = blobsIn(dir, { world, effects })
  const used = new Set(kept.keys().map((key) => kept.get(key)?.blob))
  // A server that was killed between the two: bytes without a name.
  for (const name of readdirSync(dir)) if (name.startsWith(blobLead) && !used.has(name)) blobs.remove(name)

  const remove = async (id: string, path: string) => {
    const node = trees.get(id)?.get(path)
    await kept.delete(id + path)
    noted(id + path, undefined)
    if (node?.blob !== undefined && ![...(trees.get(id)?.values() ?? [])].some(({ blob }) => blob === node.blob)) blobs.remove(node.blob)
  }
  return {
    blobs,
    get: (id, path) => trees.get(id)?.get(path),
    paths: (id) => [...(trees.get(id)?.keys() ?? [])],
    async put(id, path, node) {
      const before = trees.get(id)?.get(path)
      await kept.put(id + path, node)
      noted(id + path, node)
      if (before?.blob !== undefined && before.blob !== node.blob) blobs.remove(before.blob)
    },
    remove,
    async drop(id) {
      await Promise.all([...(trees.get(id)?.keys() ?? [])].map((path) => remove(id, path)))
    },
    knows: (name) => name === treeFile || name.startsWith(blobLead),
    [Symbol.dispose]: () => kept[Symbol.dispose](),
  }
}

const blobLead = 'bytes-'

function blobsIn(dir: string, { world, effects }: { world: World; effects: Effects }): Blobs {
  const pathOf = (blob: string) => join(dir, blob)
  return {
    make() {
      const blob = blobLead + randomHex(world, 8)
      effects.act({ kind: 'file', verb: 'make', subject: pathOf(blob) }, () => writeFileSync(pathOf(blob), '', { mode: 0o600 }))
      return blob
    },
    append(blob, bytes) {
      // Zeroes take no room, so that large files can be tried out on a small disk.
      if (bytes.length <= zeroes.length && zeroes.subarray(0, bytes.length).equals(bytes)) truncateSync(pathOf(blob), this.sizeOf(blob) + bytes.length)
      else appendFileSync(pathOf(blob), bytes)
    },
    sizeOf: (blob) => statSync(pathOf(blob), { throwIfNoEntry: false })?.size ?? 0,
    truncate: (blob, sizeBytes) => truncateSync(pathOf(blob), sizeBytes),
    async *read(blob, { from = 0, to = Infinity } = {}) {
      const fd = openSync(pathOf(blob), 'r')
      try {
        for (let at = from; at < to; ) {
          const piece = Buffer.alloc(Math.min(pieceBytes, to - at))
          const count = readSync(fd, piece, 0, piece.length, at)
          if (count === 0) return
          at += count
          yield piece.subarray(0, count)
          await world.breathe()
        }
      } finally {
        closeSync(fd)
      }
    },
    remove: (blob) => effects.act({ kind: 'file', verb: 'remove', subject: pathOf(blob) }, () => rmSync(pathOf(blob), { force: true })),
  }
}
