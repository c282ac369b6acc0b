import { constants, type Dirent } from 'node:fs'
import { access, open, readdir, readFile, realpath, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { sha256 } from '../base/sha256.ts'
import { check } from '../model/check.ts'
import { diskFormatOf, diskHeadBytes } from '../model/disk-format.ts'
import { reasonOf } from '../model/errors.ts'
import { ImageManifest, type ImageSpec, fallbackSize } from '../model/image.ts'
import { isImageName } from '../model/names.ts'
import type { Disk } from '../model/plan.ts'

/** An image with everything an engine and a volume driver need of it. */
export interface FoundImage {
  name: string
  spec: ImageSpec
  boot: 'kernel' | 'disk'
  files: { kernel?: string; initrd?: string }
  base?: Disk
  cmdline?: string
  options: Record<string, unknown>
}

/** One thing in an image directory: an image, or why it is none. `seal` changes when its files do. */
export type Sighting = { name: string; seal: string; settledMs: number } & ({ image: FoundImage } | { why: string })

const deepest = 6

/**
 * Looks through a directory for images: directories with an `image.json`, and files named `engine:name[:variant]`. All else is passed over: a
 * server can be pointed at a folder with other things in it. What does not exist has no images.
 */
export async function* sightings(dir: string, engines: ReadonlySet<string>, depth = 0): AsyncGenerator<Sighting> {
  for (const entry of await entriesOf(dir)) {
    const path = join(dir, entry.name)
    if (entry.name.startsWith('.') || entry.name.endsWith('.new')) continue
    if (entry.isDirectory()) {
      const manifest = await statOf(join(path, 'image.json'))
      if (manifest) yield await fromManifest(path, manifest.mtimeMs)
      else if (depth < deepest) yield* sightings(path, engines, depth + 1)
    } else if (entry.isFile() || entry.isSymbolicLink()) {
      const engine = /^([A-Za-z][A-Za-z0-9-]*):/.exec(entry.name)?.[1]?.toLowerCase()
      if (engine !== undefined && engines.has(engine)) yield await fromFile(path, engine)
    }
  }
}

async function fromFile(path: string, engine: string): Promise<Sighting> {
  const name = basename(path)
  const facts = await statOf(path)
  const at = { name, seal: sealOf(path, facts), settledMs: facts?.mtimeMs ?? 0 }
  if (!isImageName(name)) return { ...at, why: 'its name may hold only letters, digits, ".", "_", "-" and parts joined by ":"' }
  if (!facts?.isFile()) return { ...at, why: 'it is no ordinary file' }
  const base = await diskAt(path)
  if ('why' in base) return { ...at, why: base.why }
  const spec: ImageSpec = { engines: [engine], digest: digestOf([at.seal]), arch: 'amd64', ways: [], features: [], ...fallbackSize, ports: [22], sizeBytes: facts.size }
  spec.diskMb = Math.max(spec.diskMb, Math.ceil(base.disk.sizeBytes / 1024 / 1024))
  return { ...at, image: { name, spec, boot: 'disk', files: {}, base: base.disk, options: {} } }
}

/** A disk with a boot sector or a sound qcow2 header; everything else is no image, and is said so before a VM hangs on it. */
async function diskAt(path: string, known?: { format: 'raw' | 'qcow2' }): Promise<{ disk: Disk } | { why: string }> {
  const read = await headOf(path)
  if ('why' in read) return read
  const { head, sizeBytes } = read
  const found = diskFormatOf(head)
  if (found.flaw !== undefined) return { why: found.flaw }
  if (found.backing || found.dataFile) return { why: 'it refers to another file, and an image must be whole' }
  if (known && known.format !== found.format) return { why: `it is ${found.format}, its manifest says ${known.format}` }
  const bootable = head.length >= 512 && head[510] === 0x55 && head[511] === 0xaa
  if (!known && found.format === 'raw' && !bootable) return { why: 'it is neither qcow2 nor a raw disk with a boot sector' }
  return { disk: { path, format: found.format, sizeBytes: found.sizeBytes ?? sizeBytes, readOnly: true } }
}

async function fromManifest(dir: string, changedMs: number): Promise<Sighting> {
  const fallback = basename(dir)
  const at = { name: fallback, seal: sealOf(dir, { size: 0, mtimeMs: changedMs }), settledMs: changedMs }
  const parsed = await manifestIn(dir)
  if (typeof parsed === 'string') return { ...at, why: parsed }
  const found = { ...at, name: parsed.name }
  if (!isImageName(parsed.name)) return { ...at, why: `its manifest names it ${JSON.stringify(parsed.name.slice(0, 40))}, which is no image name` }
  const named = [parsed.kernel, parsed.initrd, parsed.disk].filter((file) => file !== undefined)
  let sizeBytes = 0
  for (const { file } of named) {
    const facts = await statOf(join(dir, file))
    if (!facts?.isFile()) return { ...found, why: `its manifest names the file ${file}, which is not there` }
    found.seal = digestOf([found.seal, sealOf(file, facts)])
    found.settledMs = Math.max(found.settledMs, facts.mtimeMs)
    sizeBytes += facts.blocks * 512
  }
  const base = parsed.disk && (await diskAt(join(dir, parsed.disk.file), parsed.disk))
  if (base && 'why' in base) return { ...found, why: `${parsed.disk?.file}: ${base.why}` }
  if (parsed.boot === 'kernel' ? !parsed.kernel : !base) return { ...found, why: `it boots from a ${parsed.boot} and names none` }
  return { ...found, image: imageOf(dir, parsed, { sizeBytes, base: base?.disk }) }
}

function imageOf(dir: string, manifest: ImageManifest, { sizeBytes, base }: { sizeBytes: number; base?: Disk }): FoundImage {
  const { kernel, initrd, cmdline } = manifest
  return {
    name: manifest.name,
    spec: specOf(manifest, sizeBytes, base),
    boot: manifest.boot,
    files: { ...(kernel ? { kernel: join(dir, kernel.file) } : {}), ...(initrd ? { initrd: join(dir, initrd.file) } : {}) },
    ...(base ? { base } : {}),
    ...(cmdline === undefined ? {} : { cmdline }),
    options: manifest.options,
  }
}

/** What users see of a manifest. */
export function specOf(manifest: ImageManifest, sizeBytes: number, base?: Disk): ImageSpec {
  const files = [manifest.kernel, manifest.initrd, manifest.disk].flatMap((file) => file?.sha256 ?? [])
  const { cpu, memMb, diskMb, ports } = manifest.defaults
  const hasDisk = base !== undefined || manifest.boot === 'disk'
  return {
    engines: manifest.engines,
    ...(manifest.memo === undefined ? {} : { memo: manifest.memo }),
    digest: digestOf([...files, manifest.cmdline ?? '', JSON.stringify(manifest.options)]),
    arch: manifest.arch,
    ways: manifest.agent,
    features: manifest.features,
    ...(manifest.owner === undefined ? {} : { owner: manifest.owner }),
    cpu: cpu ?? fallbackSize.cpu,
    memMb: memMb ?? fallbackSize.memMb,
    diskMb: Math.max(diskMb ?? (hasDisk ? fallbackSize.diskMb : 0), base ? Math.ceil(base.sizeBytes / 1024 / 1024) : 0),
    ports: ports ?? [22],
    sizeBytes,
  }
}

/** The checked `image.json` of a directory, or what is wrong with it. */
export async function manifestIn(dir: string, file = 'image.json'): Promise<ImageManifest | string> {
  const text = await readFile(join(dir, file), 'utf8').catch(() => undefined)
  if (text === undefined) return `${file} cannot be read`
  if (text.length > 1 << 20) return `${file} is larger than 1 MiB`
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (fault) {
    return `${file} is no JSON: ${reasonOf(fault)}`
  }
  const { value, wrong } = check(ImageManifest, json)
  return value ?? `${file}: ${wrong}`
}

async function headOf(path: string): Promise<{ head: Uint8Array; sizeBytes: number } | { why: string }> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const { size } = await file.stat()
    const { buffer, bytesRead } = await file.read(Buffer.alloc(diskHeadBytes), 0, diskHeadBytes, 0)
    if (size === 0) return { why: 'it is empty' }
    return { head: buffer.subarray(0, bytesRead), sizeBytes: size }
  } catch (fault) {
    return { why: `it cannot be read: ${reasonOf(fault)}` }
  }
}

const statOf = (path: string) => stat(path).catch(() => undefined)
const sealOf = (path: string, facts?: { size: number; mtimeMs: number }) => `${path}:${facts?.size}:${facts?.mtimeMs}`
const digestOf = (parts: string[]) => sha256(parts.join('\n'))

async function entriesOf(dir: string): Promise<Dirent[]> {
  try {
    return (await readdir(dir, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1))
  } catch {
    return []
  }
}

/** Why a server cannot use this image directory, or undefined if it can. With `ownUsers` guests run as users who own nothing on the way to it. */
export async function whyNotUsable(dir: string, { ownUsers }: { ownUsers: boolean }): Promise<string | undefined> {
  const facts = await statOf(dir)
  if (!facts) return `${dir} does not exist`
  if (!facts.isDirectory()) return `${dir} is no directory`
  const readable = await access(dir, constants.R_OK | constants.X_OK).then(
    () => true,
    () => false,
  )
  if (!readable) return `${dir} may not be read by this user`
  const barred = ownUsers ? await barredAt(dir) : undefined
  return barred && `${dir} cannot be read by VMs, which run as users of their own: ${barred} is for its owner only; \`chmod o+x ${barred}\` lets them pass`
}

/** The first directory from the root to `dir` that others may not pass. */
async function barredAt(dir: string): Promise<string | undefined> {
  const parts = (await realpath(dir)).split('/')
  for (let count = 1; count <= parts.length; count++) {
    const path = parts.slice(0, count).join('/') || '/'
    const facts = await statOf(path)
    if (facts && (facts.mode & 0o001) === 0) return path
  }
  return undefined
}
