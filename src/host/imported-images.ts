import { chmod, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Effects } from '../base/effects.ts'
import { randomHex, type World } from '../base/world.ts'
import { manifestIn } from './image-files.ts'

/** Images that were imported, each a directory with `image.json` and its disk. */
export interface ImportedImages {
  /** For the catalogue to look through: things come into it whole, by a rename. */
  readonly dir: string
  /** Where they are made, on the same file system; nobody else may look in. */
  readonly partsDir: string
  has(name: string): Promise<boolean>
  /** Takes in a directory from `partsDir`, whole and at once. One of the same name before it is an image no more, and its files stay until `retire`. */
  add(name: string, from: string): Promise<void>
  /** Removes the image of this name; none is fine. No volume may rest on it: the caller has seen that no VM was made from it. */
  drop(name: string): Promise<void>
  /** Removes what others have taken the place of, but for images that VMs were made from. */
  retire(isUsed: (name: string) => boolean): Promise<void>
}

const unfinished = '.new'
const passable = 0o711
/** By then a VM that was being made of it is on record. */
const settledMs = 60_000
/** What the manifest is called of an image that another has taken the place of. */
const retired = 'image.old.json'

/** Opens the directory, which is made if need be, and ends what a crash left half done. */
export async function importedImages({ dir, world, effects }: { dir: string; world: World; effects: Effects }): Promise<ImportedImages> {
  const partsDir = join(dir, '.parts')
  await mkdir(partsDir, { recursive: true, mode: 0o700 })
  await chmod(dir, passable)
  const remove = (path: string) => effects.act({ kind: 'file', verb: 'remove', subject: path }, () => rm(path, { recursive: true, force: true }))
  const move = (from: string, to: string, inside = dir) =>
    effects.act({ kind: 'file', verb: 'make', subject: to }, async () => {
      await rename(from, to)
      await synced(inside)
    })
  const supersede = (path: string) => move(join(path, 'image.json'), join(path, retired), path)
  /** Directories by the name of their image, the newest first. */
  const all = async (file = 'image.json') => {
    const found: { name: string; path: string; since: number }[] = []
    for (const entry of await readdir(dir)) {
      if (entry.startsWith('.') || entry.endsWith(unfinished)) continue
      const path = join(dir, entry)
      const manifest = await manifestIn(path, file)
      if (typeof manifest !== 'string') found.push({ name: manifest.name, path, since: (await stat(join(path, file))).mtimeMs })
    }
    return found.sort((one, two) => two.since - one.since)
  }
  const drop = async (path: string) => {
    const going = `${path}${unfinished}`
    await move(path, going)
    await remove(going)
  }

  for (const entry of await readdir(dir)) if (entry.endsWith(unfinished)) await remove(join(dir, entry))
  const seen = new Set<string>()
  for (const { name, path } of await all()) {
    if (seen.has(name)) await supersede(path)
    seen.add(name)
  }

  return {
    dir,
    partsDir,
    has: async (name) => (await all()).some((one) => one.name === name),
    async add(name, from) {
      await effects.act({ kind: 'file', verb: 'change', subject: from }, () => chmod(from, passable))
      const before = (await all()).filter((one) => one.name === name)
      // Users of VMs pass through the directory and cannot guess the name, so each opens only the disk it was given.
      await move(from, join(dir, `${name.replaceAll(/[^A-Za-z0-9._-]/g, '_').slice(0, 64)}-${randomHex(world, 16)}`))
      for (const { path } of before) await supersede(path)
    },
    async drop(name) {
      for (const one of await all()) if (one.name === name) await drop(one.path)
    },
    async retire(isUsed) {
      for (const { name, path } of await all(retired)) {
        const restedMs = world.now() - (await stat(path)).mtimeMs
        if (restedMs > settledMs && !isUsed(name)) await drop(path)
      }
    },
  }
}

async function synced(path: string): Promise<void> {
  await using file = await open(path)
  await file.sync()
}
