import { TtError } from '../model/errors.ts'
import type { LocalFiles, LocalThing } from './local-files.ts'

interface Node {
  thing: Omit<LocalThing, 'sizeBytes'> & { target?: string }
  bytes: Uint8Array
}

/** Files in memory, for rehearsals; given as texts by their paths, relative to the current directory. */
export function rehearsedFiles(texts: Record<string, string>): LocalFiles & { texts(): Record<string, string> } {
  const nodes = new Map<string, Node>()
  const clean = (path: string) => path.split('/').filter((part) => part !== '' && part !== '.').join('/')
  const parentOf = (path: string) => clean(path).split('/').slice(0, -1).join('/')
  const directory = (mode = 0o755): Node => ({ thing: { type: 'directory', mode }, bytes: new Uint8Array() })
  const makeDirectory = (path: string, mode?: number) => {
    const parts = clean(path).split('/')
    for (let count = 1; count <= parts.length; count++) {
      const one = parts.slice(0, count).join('/')
      if (one !== '' && !nodes.has(one)) nodes.set(one, directory(mode))
    }
  }
  for (const [path, text] of Object.entries(texts)) {
    makeDirectory(parentOf(path))
    nodes.set(clean(path), { thing: { type: 'file', mode: 0o644 }, bytes: new TextEncoder().encode(text) })
  }
  const at = (path: string): Node => (clean(path) === '' ? directory() : (nodes.get(clean(path)) ?? refuse('not_found', `${path}: there is no such file or directory`)))
  const under = (path: string) => [...nodes.keys()].filter((one) => one === clean(path) || one.startsWith(`${clean(path)}/`))
  const isThere = (path: string) => clean(path) === '' || nodes.has(clean(path))
  return {
    texts: () => Object.fromEntries([...nodes].flatMap(([path, { thing, bytes }]) => (thing.type === 'file' ? [[path, new TextDecoder().decode(bytes)]] : thing.type === 'link' ? [[path, `-> ${thing.target}`]] : []))),
    async stat(path) {
      if (!isThere(path)) return undefined
      const { thing, bytes } = at(path)
      return { type: thing.type, mode: thing.mode, sizeBytes: bytes.length }
    },
    targetOf: async (path) => at(path).thing.target ?? '',
    list: async (path) => [...nodes.keys()].filter((one) => parentOf(one) === clean(path)).map((one) => one.split('/').at(-1) ?? '').sort(),
    async *read(path, from = 0) {
      yield at(path).bytes.subarray(from)
    },
    nameOf: (path) => clean(path).split('/').at(-1) ?? '',
    directoryOf: (path) => parentOf(path) || '.',
    join: (...parts) => clean(parts.join('/')),
    makeDirectory: async (path, mode) => makeDirectory(path, mode),
    makeLink: async (path, target) => void nodes.set(clean(path), { thing: { type: 'link', mode: 0o777, target }, bytes: new Uint8Array() }),
    setMode: async (path, mode) => void (at(path).thing.mode = mode),
    async open(path) {
      if (!isThere(path)) nodes.set(clean(path), { thing: { type: 'file', mode: 0o600 }, bytes: new Uint8Array() })
      const node = at(path)
      return {
        get sizeBytes() {
          return node.bytes.length
        },
        cut: async (sizeBytes) => void (node.bytes = node.bytes.slice(0, sizeBytes)),
        write: async (bytes) => void (node.bytes = Uint8Array.from([...node.bytes, ...bytes])),
        close: async () => undefined,
      }
    },
    async rename(from, to, { overwrite }) {
      if (!overwrite && isThere(to)) refuse('exists', `${to}: there is something already`)
      for (const one of under(from)) {
        nodes.set(clean(to) + one.slice(clean(from).length), nodes.get(one) as Node)
        nodes.delete(one)
      }
    },
    remove: async (path) => under(path).forEach((one) => nodes.delete(one)),
  }
}

const refuse = (code: 'not_found' | 'exists', message: string): never => {
  throw new TtError({ code, message })
}
