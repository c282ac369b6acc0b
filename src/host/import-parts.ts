import { appendFile, type FileHandle, mkdir, open, readdir, readFile, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { Effects } from '../base/effects.ts'
import { writeWhole } from '../base/files.ts'
import { run } from '../base/run.ts'
import { sha256 } from '../base/sha256.ts'
import type { World } from '../base/world.ts'
import type { Call } from '../model/call.ts'
import { fail, reasonOf } from '../model/errors.ts'
import type { ImageOrder } from '../model/session.ts'

/** What of an import is here already: it survives the server, so that the next try goes on from there. */
export interface Part extends AsyncDisposable {
  readonly file: FileHandle
  /** How long the file is. */
  bytes: number
  /** Where its server said it was at when it began, as far as it said. */
  origin: Origin
  /** Remembers it for the next try. */
  remember(origin: Origin): void
  /** Throws away what is there, to begin anew. */
  cut(): Promise<void>
  /** An empty directory beside it, for the image that becomes of it. */
  imageDir(): Promise<string>
  /** Removes it with all that is beside it. */
  discard(): Promise<void>
}

/** What a web server says a file is, to ask later whether it still is the same. */
export interface Origin {
  etag?: string
  lastModified?: string
}

/** Parts of imports that nobody has gone on with for a day are nobody's. */
const staleMs = 24 * 3600 * 1000

/** By what a part is found again: the bytes' own digest, else where they come from and for what image. */
export const partKey = ({ name, sha256: known, url }: ImageOrder): string => (known ?? sha256(`${url}\n${name}`)).slice(0, 40)

/** Opens the part of this key, as far as it came. For one at a time. */
export async function openPart(partsDir: string, key: string, effects: Effects): Promise<Part> {
  const dir = join(partsDir, key)
  const path = join(dir, 'bytes')
  const aboutPath = join(dir, 'origin.json')
  const image = join(dir, 'image')
  await effects.act({ kind: 'file', verb: 'make', subject: path }, async () => {
    await mkdir(dir, { recursive: true, mode: 0o700 })
    await rm(image, { recursive: true, force: true })
    await appendFile(path, '', { mode: 0o600 })
  })
  const file = await open(path, 'a+')
  const part: Part = {
    file,
    bytes: (await file.stat()).size,
    origin: await originIn(aboutPath),
    remember(origin) {
      part.origin = origin
      effects.act({ kind: 'file', verb: 'make', subject: aboutPath }, () => writeWhole(aboutPath, JSON.stringify(origin)))
    },
    async cut() {
      await file.truncate(0)
      part.bytes = 0
    },
    imageDir: () =>
      effects.act({ kind: 'file', verb: 'make', subject: image }, async () => {
        await rm(image, { recursive: true, force: true })
        await mkdir(image, { mode: 0o700 })
        return image
      }),
    discard: () => removePart(partsDir, key, effects),
    [Symbol.asyncDispose]: () => file.close(),
  }
  return part
}

/** A file that says nothing known says nothing: then the server is asked for all of it. */
async function originIn(path: string): Promise<Origin> {
  try {
    const { etag, lastModified } = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>
    return { ...(typeof etag === 'string' ? { etag } : {}), ...(typeof lastModified === 'string' ? { lastModified } : {}) }
  } catch {
    return {}
  }
}

const removePart = (partsDir: string, key: string, effects: Effects) => {
  const dir = join(partsDir, key)
  return effects.act({ kind: 'file', verb: 'remove', subject: dir }, () => rm(dir, { recursive: true, force: true }))
}

/** Removes parts that are too old to be gone on with, except the `busy`. */
export async function sweepParts(partsDir: string, { world, effects, busy }: { world: World; effects: Effects; busy: ReadonlySet<string> }): Promise<void> {
  for (const key of await readdir(partsDir)) {
    const facts = await stat(join(partsDir, key, 'bytes')).catch(() => undefined)
    if (!busy.has(key) && !(facts && world.now() - facts.mtimeMs < staleMs)) await removePart(partsDir, key, effects)
  }
}

/** Left for the rest of the server: its store and its VMs live on the same disk. */
const reserveBytes = 256 << 20

/** How many bytes may be written at this place. */
export async function roomAt(dir: string): Promise<number> {
  const { bavail, bsize } = await statfs(dir)
  return Math.max(0, bavail * bsize - reserveBytes)
}

/** The file's sha256, which another program takes: it is large, and this process has others to answer. */
export async function digestOf(file: FileHandle, call?: Call): Promise<string> {
  const { code, stdout, stderr } = await run(['nice', '-n', '10', 'sha256sum', '--', '/dev/fd/3'], { fds: [file.fd], timeoutMs: 0, signal: call?.signal }).catch((fault: unknown) => {
    throw call?.signal?.aborted ? call.signal.reason : new Error(`sha256sum cannot be run: ${reasonOf(fault)}`)
  })
  return /^\\?([0-9a-f]{64}) /.exec(stdout)?.[1] ?? fail('internal', `sha256sum ended with ${code}: ${stderr.slice(0, 200)}`)
}
