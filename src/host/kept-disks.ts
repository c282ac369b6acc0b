import { constants } from 'node:fs'
import { chmod, copyFile, link, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Effects } from '../base/effects.ts'
import { hasErrno, writeWhole } from '../base/files.ts'
import { runOk } from '../base/run.ts'
import { randomHex, type World } from '../base/world.ts'
import type { VolumeDriver } from '../drivers/volume/volume.ts'
import type { Call } from '../model/call.ts'
import { fail } from '../model/errors.ts'
import type { ImageManifest } from '../model/image.ts'
import { parseVmId, vmName } from '../model/names.ts'
import type { VmSpec } from '../model/vm.ts'
import { type FoundImage, manifestIn } from './image-files.ts'

/** Disks of VMs that are gone, each an image that VMs start from: a directory with `image.json` and everything it names. */
export interface KeptDisks {
  /** For the catalogue to look through. */
  readonly dir: string
  /** A name that nothing kept has yet: `kept/ENV/INDEX-UID`, with a number behind it if that index was another VM's before. */
  nameFor(vm: Kept['vm']): Promise<string>
  has(name: string): Promise<boolean>
  /**
   * Makes an image of the VM's volume and gives its name, `kept/ENV/INDEX-UID` if none was asked for. The VM has ended. May be repeated, also after
   * a crash at any point: what was kept is not kept again. A signal ends it, and leaves nothing.
   */
  keep(what: Kept, call?: Call): Promise<string>
  /** Removes the image of this name; none is fine. No volume may rest on it: the caller has seen that no VM was made from it. */
  drop(name: string): Promise<void>
}

export interface Kept {
  name?: string
  vm: Pick<VmSpec, 'id' | 'env' | 'index' | 'cpu' | 'memMb'>
  owner: string
  /** What the VM was started from: the disk needs the same kernel. */
  image: FoundImage
}

/** Opens the directory, which is made if need be, and removes what a crash left half made. */
export async function keptDisks({ dir, volume, world, effects }: { dir: string; volume: VolumeDriver; world: World; effects: Effects }): Promise<KeptDisks> {
  await mkdir(dir, { recursive: true })
  await chmod(dir, passable)
  const remove = (path: string) => effects.act({ kind: 'file', verb: 'remove', subject: path }, () => rm(path, { recursive: true, force: true }))
  const move = (from: string, to: string) =>
    effects.act({ kind: 'file', verb: 'make', subject: to }, async () => {
      await rename(from, to)
      await synced(dir)
    })
  const find = async (name: string) => {
    for (const entry of await readdir(dir)) {
      const manifest = entry.endsWith(unfinished) ? '' : await manifestIn(join(dir, entry))
      if (typeof manifest !== 'string' && manifest.name === name) return join(dir, entry)
    }
    return undefined
  }
  for (const entry of await readdir(dir)) if (entry.endsWith(unfinished)) await remove(join(dir, entry))

  return {
    dir,
    async nameFor(vm) {
      for (let times = 1; ; times++) {
        const name = `${keptName(vm)}${times === 1 ? '' : `-${times}`}`
        if (!(await find(name))) return name
      }
    },
    has: async (name) => (await find(name)) !== undefined,
    async keep(what, call) {
      const { vm, name = keptName(vm) } = what
      if (await find(name)) return name
      const temporary = join(dir, `${vm.id}${unfinished}`)
      try {
        await remove(temporary)
        await effects.act({ kind: 'file', verb: 'make', subject: temporary }, async () => {
          await mkdir(temporary)
          await chmod(temporary, passable) // Whatever the server's umask is.
        })
        const disk = await volume.keep(vm.id, join(temporary, 'disk'), call)
        await effects.act({ kind: 'file', verb: 'change', subject: temporary }, async () => {
          await chmod(disk.path, readable)
          const file = join(temporary, `disk.${disk.format}`)
          await rename(disk.path, file)
          const manifest = await manifestOf(what, { name, world, into: temporary, disk: { ...(await sealed(file, call)), format: disk.format, sizeBytes: disk.sizeBytes }, call })
          writeWhole(join(temporary, 'image.json'), `${JSON.stringify(manifest, undefined, 2)}\n`, { durable: true })
        })
        // Users of other VMs pass through the directory and cannot guess its name, so none of them can open this disk.
        await move(temporary, join(dir, `${vm.index}-${randomHex(world, 16)}`))
        return name
      } catch (fault) {
        await remove(temporary).catch(() => undefined) // The next start does it if this cannot.
        throw fault
      }
    },
    async drop(name) {
      const found = await find(name)
      if (!found) return
      const going = `${found}${unfinished}`
      await move(found, going)
      await remove(going)
    },
  }
}

/** `kept/demo/3-1a2b3c4d`: the ENV's name may be used again, its uid not. */
export function keptName(vm: Pick<VmSpec, 'id' | 'env' | 'index'>): string {
  const { envUid } = parseVmId(vm.id) ?? fail('internal', `${vm.id} is no id of a VM`)
  return `kept/${vm.env}/${vm.index}-${envUid.slice(0, 8)}`
}

const unfinished = '.new'
const passable = 0o711
const readable = 0o644

type File = NonNullable<ImageManifest['kernel']>

async function manifestOf({ vm, owner, image }: Kept, { name, world, into, disk, call }: { name: string; world: World; into: string; disk: ImageManifest['disk'] & object; call?: Call }): Promise<ImageManifest> {
  const { kernel, initrd } = image.files
  const { arch, ways, engines, features, ports } = image.spec
  const at = new Date(world.now()).toISOString().slice(0, 16)
  return {
    format: 1,
    name,
    memo: `The disk of ${vmName(vm.env, vm.index)}, made from ${image.name}, as it was on ${at.replace('T', ' at ')} UTC`,
    owner,
    engines,
    // An image that an engine brings with it has no kernel, and needs none.
    boot: kernel === undefined ? 'disk' : image.boot,
    ...(kernel === undefined ? {} : { kernel: await brought(kernel, into, call) }),
    ...(initrd === undefined ? {} : { initrd: await brought(initrd, into, call) }),
    disk,
    ...(image.cmdline === undefined ? {} : { cmdline: image.cmdline }),
    arch,
    agent: ways,
    features,
    defaults: { cpu: vm.cpu, memMb: vm.memMb, diskMb: Math.ceil(disk.sizeBytes / 2 ** 20), ports },
    options: image.options,
  }
}

/** A file of the original image, here too: the same one where it can be, as images do not change. */
async function brought(path: string, into: string, call?: Call): Promise<File> {
  const here = join(into, basename(path))
  try {
    await link(path, here)
  } catch (fault) {
    if (!['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP'].some((errno) => hasErrno(fault, errno))) throw fault
    await copyFile(path, here, constants.COPYFILE_FICLONE)
    await chmod(here, readable)
    await synced(here)
  }
  return sealed(here, call)
}

/** With its digest, which another program takes: a disk is large, and this process has others to answer. */
async function sealed(path: string, call?: Call): Promise<File> {
  const said = await runOk(['nice', '-n', '19', 'sha256sum', '--', path], { timeoutMs: 0, signal: call?.signal }).catch((fault: unknown) => {
    throw call?.signal?.aborted ? call.signal.reason : fault
  })
  const sha256 = /^\\?([0-9a-f]{64}) /.exec(said)?.[1]
  return { file: basename(path), sha256: sha256 ?? fail('internal', `sha256sum said ${JSON.stringify(said.slice(0, 80))}`) }
}

async function synced(path: string): Promise<void> {
  await using file = await open(path)
  await file.sync()
}
