import { watch } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Effects } from '../base/effects.ts'
import type { Log } from '../base/log.ts'
import { Loop } from '../base/loop.ts'
import { run } from '../base/run.ts'
import { workQueue } from '../base/work-queue.ts'
import type { World } from '../base/world.ts'
import type { Engine } from '../drivers/engine/engine.ts'
import type { Call } from '../model/call.ts'
import { fail } from '../model/errors.ts'
import type { ImageSpec } from '../model/image.ts'
import { type FoundImage, manifestIn, type Sighting, sightings, specOf, whyNotUsable } from './image-files.ts'

export type { FoundImage } from './image-files.ts'

export interface CatalogueOptions {
  /** Directories of the operator's, searched deeply. */
  dirs: () => readonly string[]
  /** Where built recipes lie; shared by all servers of the machine. */
  cacheDir: string
  /** Directories that things come into whole, by a rename: they need no time to settle. */
  wholeDirs: readonly string[]
  /** The one of them whose images were imported. */
  importedDir?: string
  /** VMs run as users of their own, who must be able to read images themselves. */
  ownUsers: boolean
  /** The project's recipes, or undefined where there are none. */
  recipesDir?: string
  engines: ReadonlyMap<string, Engine>
  world: World
  effects: Effects
  log: Log
  /** Ends the watching of directories. */
  signal: AbortSignal
  onChange: () => void
}

/** What this host can start VMs from, kept up to date without being asked. */
export interface Catalogue extends AsyncDisposable {
  /** By name, for `image list` and admission. */
  specs(): Record<string, ImageSpec>
  broken(): Record<string, string>
  get(name: string): FoundImage | undefined
  /** The image, built first if it is a recipe nobody has built. Aborting ends the waiting, not the build. */
  resolve(name: string, call?: Call): Promise<FoundImage>
  /** Builds a recipe, telling its steps; a running build of the same is joined. */
  build(name: string, onStep?: (text: string) => void): Promise<void>
  /** Looks into the directories there are now. */
  dirsChanged(): Promise<void>
}

/** A change counts once nothing has touched the files for this long: a copy in progress is no image yet. */
const settleMs = 2000
/** Events tell of changes at once where the file system has them; this finds the rest. */
const rescanMs = 10_000
const buildLimitMs = 15 * 60 * 1000

export async function catalogue(options: CatalogueOptions): Promise<Catalogue> {
  const { world, log, signal, engines, onChange } = options
  let found = new Map<string, FoundImage>()
  let broken = new Map<string, string>()
  let recipes = new Map<string, ImageSpec>()
  /** Images for other processors that recipes can make. They show themselves once they are built: nobody who asks for all that begins with `micro` gets a build for each. */
  let variants = new Set<string>()
  /** One at a time: a build uses all the machine has. */
  const builds = workQueue({ world, workers: 1, waitLimitMs: buildLimitMs })
  const listeners = new Map<string, Set<(text: string) => void>>()
  const scan = async () => {
    const next = await scanned(options)
    recipes = await readRecipes(options)
    variants = await readVariants(options, [...recipes.keys()])
    const changed = JSON.stringify([[...next.found.values()], [...next.broken], next.pending]) !== JSON.stringify([[...found.values()], [...broken], 0])
    for (const dir of options.dirs()) {
      const why = next.broken.get(dir)
      if (why !== undefined && why !== broken.get(dir)) log.warn('an image path cannot be used; it is looked at again all the time', { why })
    }
    ;({ found, broken } = next)
    if (changed) onChange()
    return next.pending
  }
  const loop = new Loop(async () => ((await scan()) > 0 ? settleMs : rescanMs), { name: 'images', world, onFault: (_key, fault) => log.warn('images could not be looked through', { fault: String(fault) }) })
  const watched = new Set<string>()
  const dirsChanged = async () => {
    await scan()
    loop.touch('images')
    for (const dir of [...options.dirs(), ...options.wholeDirs]) {
      if (!watched.has(dir)) watchDir(dir, signal, () => loop.touch('images'))
      watched.add(dir)
    }
  }
  await dirsChanged()

  const specs = () => {
    const all: Record<string, ImageSpec> = {}
    for (const [name, spec] of recipes) if (usable(spec, engines) && runnable(spec, engines)) all[name] = { ...withUsable(spec, engines), buildable: true }
    for (const [name, image] of found) if (usable(image.spec, engines)) all[name] = { ...withUsable(image.spec, engines), ...(recipes.has(name) || variants.has(name) ? { buildable: false } : {}) }
    return all
  }
  const build = async (name: string, onStep?: (text: string) => void): Promise<void> => {
    if (!recipes.has(name) && !variants.has(name)) {
      const others = [...variants].filter((one) => [...recipes.keys()].some((recipe) => one.startsWith(`${recipe}-`) && name.startsWith(`${recipe}-`)))
      fail('not_found', `there is no recipe ${JSON.stringify(name)}`, { subject: `image/${name}`, remedy: others.length > 0 ? `there are ${others.join(', ')}` : 'see `tt image recipes`' })
    }
    const tellers = listeners.get(name) ?? new Set()
    listeners.set(name, tellers)
    if (onStep) tellers.add(onStep)
    try {
      await builds.add(name, async (ending) => {
        await runRecipe({ ...options, signal: AbortSignal.any([signal, ending]) }, name, (text) => tellers.forEach((tell) => tell(text)))
        await scan()
      })
    } finally {
      if (onStep) tellers.delete(onStep)
    }
  }
  return {
    specs,
    broken: () => Object.fromEntries(broken),
    get: (name) => found.get(name),
    async resolve(name, call) {
      if (!found.has(name) && recipes.has(name)) await unless(build(name, (text) => log.info('building an image', { image: name, step: text })), call?.signal)
      return found.get(name) ?? fail('not_found', `this host has no image ${name}`, { subject: `image/${name}`, remedy: 'see `tt image list`' })
    },
    build,
    dirsChanged,
    async [Symbol.asyncDispose]() {
      await loop[Symbol.asyncDispose]()
      await builds[Symbol.asyncDispose]()
    },
  }
}

/** Everything in the directories now, what the engines bring, and how much of it must be looked at again because it may still be written to. */
async function scanned({ dirs, wholeDirs, importedDir, engines, world, ownUsers }: CatalogueOptions): Promise<{ found: Map<string, FoundImage>; broken: Map<string, string>; pending: number }> {
  const found = new Map<string, FoundImage>()
  const broken = new Map<string, string>()
  let pending = 0
  for (const image of builtIn(engines)) found.set(image.name, image)
  const names = new Set(engines.keys())
  for (const dir of dirs()) {
    const why = await whyNotUsable(dir, { ownUsers })
    if (why !== undefined) broken.set(dir, why)
  }
  for (const dir of [...wholeDirs, ...dirs()]) {
    for await (const sighting of sightings(dir, names)) {
      if (!wholeDirs.includes(dir) && world.now() - sighting.settledMs < settleMs) pending++
      else note(dir === importedDir ? removable(sighting) : sighting, found, broken)
    }
  }
  return { found, broken, pending }
}

function note(sighting: Sighting, found: Map<string, FoundImage>, broken: Map<string, string>): void {
  if ('image' in sighting) found.set(sighting.name, sighting.image)
  else broken.set(sighting.name, sighting.why)
}

const removable = (sighting: Sighting): Sighting => ('image' in sighting ? { ...sighting, image: { ...sighting.image, spec: { ...sighting.image.spec, removable: true } } } : sighting)

function* builtIn(engines: ReadonlyMap<string, Engine>): Generator<FoundImage> {
  for (const [engine, { images, features }] of engines) {
    for (const manifest of images ?? []) {
      const spec: ImageSpec = { ...specOf(manifest, 0), ways: features.channel ? ['engine'] : manifest.agent, diskMb: manifest.defaults.diskMb ?? 0, ports: manifest.defaults.ports ?? [] }
      yield { name: `${engine}:${manifest.name}`, spec, boot: manifest.boot, files: {}, options: manifest.options }
    }
  }
}

/** Recipes whose `about.json`, a manifest without files, says what they make. */
async function readRecipes({ recipesDir }: CatalogueOptions): Promise<Map<string, ImageSpec>> {
  const recipes = new Map<string, ImageSpec>()
  if (recipesDir === undefined) return recipes
  for (const name of await readdir(recipesDir).catch(() => [])) {
    const manifest = await manifestIn(join(recipesDir, name), 'about.json')
    if (typeof manifest !== 'string') recipes.set(manifest.name, specOf(manifest, 0))
  }
  return recipes
}

/** `RECIPE-ARCH` for every processor the recipe's file `archs` lists: the first word of each line. */
async function readVariants({ recipesDir }: CatalogueOptions, recipes: readonly string[]): Promise<Set<string>> {
  const variants = new Set<string>()
  for (const recipe of recipes) {
    const text = await readFile(join(recipesDir ?? '', recipe, 'archs'), 'utf8').catch(() => '')
    for (const [, arch = ''] of text.matchAll(/^([a-z][a-z0-9]*)\s/gm)) variants.add(`${recipe}-${arch}`)
  }
  return variants
}

/** Runs a recipe as a program of its own; it locks, so servers that want the same image make it once. */
async function runRecipe({ recipesDir, cacheDir, effects, log, signal }: CatalogueOptions, name: string, onStep: (text: string) => void): Promise<void> {
  const program = join(recipesDir ?? '', 'build')
  const { code, stderr } = await effects.act({ kind: 'file', verb: 'make', subject: join(cacheDir, name) }, () =>
    run(['sh', program, name, cacheDir], { timeoutMs: buildLimitMs, onErrorLine: onStep, signal }),
  )
  if (code === 0) return
  const why = stderr.trim().split('\n').slice(-2).join('; ')
  log.warn('an image could not be built', { image: name, why })
  fail('failed', `the image ${name} could not be built: ${why}`, { subject: `image/${name}`, remedy: `run images/build ${name} on the host to see it all` })
}

/** As the work, unless the signal aborts first. */
async function unless(work: Promise<void>, signal?: AbortSignal): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>()
  const stop = () => reject(signal?.reason)
  signal?.addEventListener('abort', stop, { once: true })
  try {
    await Promise.race([work, promise])
  } finally {
    signal?.removeEventListener('abort', stop)
  }
}

const usable = (spec: ImageSpec, engines: ReadonlyMap<string, Engine>) => spec.engines.some((engine) => engines.has(engine))
/** Nobody is offered to build what then would not run here. */
const runnable = ({ engines: names, arch }: ImageSpec, engines: ReadonlyMap<string, Engine>) => names.some((name) => engines.get(name)?.features.archs.includes(arch))
const withUsable = (spec: ImageSpec, engines: ReadonlyMap<string, Engine>): ImageSpec => ({ ...spec, engines: spec.engines.filter((engine) => engines.has(engine)) })

function watchDir(dir: string, signal: AbortSignal, onEvent: () => void): void {
  try {
    const watcher = watch(dir, { persistent: false, signal }, onEvent)
    watcher.on('error', () => watcher.close())
  } catch {
    // No such directory, or no events there: the slow look finds what comes.
  }
}
