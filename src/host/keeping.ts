import type { Log } from '../base/log.ts'
import { Loop } from '../base/loop.ts'
import { gate } from '../base/queue.ts'
import type { World } from '../base/world.ts'
import type { Engine } from '../drivers/engine/engine.ts'
import type { VolumeDriver } from '../drivers/volume/volume.ts'
import { fail } from '../model/errors.ts'
import { expandOne } from '../model/expand.ts'
import { parseVmId, vmName } from '../model/names.ts'
import { type EnvRecord, keys, lastPart, type VmRecord } from '../model/records.ts'
import { follow } from '../store/follow.ts'
import type { Catalogue } from './images.ts'
import type { ImportedImages } from './imported-images.ts'
import type { KeptDisks } from './kept-disks.ts'
import type { Report } from './report.ts'
import type { HostViews } from './views.ts'

/** Disks that outlive their VMs, because their ENV's owner asked for it; and images made of them that nobody wants any more. */
export interface Keeping extends AsyncDisposable {
  /** Called when a VM is to go: its disk is an image when this resolves, if that was asked for and it has a disk worth it. */
  keepIfAsked(id: string, signal: AbortSignal): Promise<void>
}

export interface KeepingOptions {
  name: string
  views: HostViews
  report: Report
  images: Catalogue
  kept: KeptDisks
  imported: ImportedImages
  volume: VolumeDriver
  engines: ReadonlyMap<string, Engine>
  world: World
  log: Log
}

/** Disks that are copied at the same time: they are large. */
const keptAtOnce = 2

export function runKeeping(options: KeepingOptions): Keeping {
  const { views, report, images, kept, imported, volume, engines, world, log } = options
  const turns = gate(keptAtOnce)
  const loop = new Loop(
    async (name) => {
      const spec = images.get(name)?.spec
      if (!spec || (spec.owner === undefined && !spec.removable) || users(options, name)) return
      await (spec.removable ? imported : kept).drop(name)
      await images.dirsChanged()
      log.info('an image was deleted', { image: name })
    },
    { name: 'unwanted images', world, backoffMs: { first: 200, last: 10_000 }, onFault: (image, fault) => log.warn('an image could not be deleted', { image, fault: String(fault) }) },
  )
  const retiring = new Loop(() => imported.retire((image) => users(options, image)), { name: 'retired images', world, onFault: (_key, fault) => log.warn('images that others have taken the place of could not be removed', { fault: String(fault) }) })
  retiring.touch('all')
  const touchAll = () => {
    retiring.touch('all')
    for (const { value } of views.unwanted.entries()) loop.touch(value.image)
  }
  const stops = [follow(views.unwanted, (_key, now) => now && loop.touch(now.image)), views.claims.onChange(({ value }) => !value && touchAll()), views.hosts.onChange(touchAll)]
  return {
    async keepIfAsked(id, signal) {
      const found = wanted(options, id)
      if (!found) return
      const { env, index, record, image } = found
      const vm = vmName(env.name, index)
      for (const engine of engines.values()) await engine.destroy(id) // Its disk must be at rest.
      // It never had one, or a crash came after it was kept.
      if ((record.keptAs !== undefined && (await kept.has(record.keptAs))) || !(await volume.list()).includes(id)) return
      const base = images.get(image) ?? fail('not_found', `the disk of ${vm} is to be kept, and its image ${image} is gone`, { subject: `vm/${vm}`, remedy: `bring the image back, or do without: \`tt env del ${env.name} --no-keep-disks\`` })
      const { cpu, memMb } = expandOne({ ...env, spec: { ...env.spec, kicked: [] } }, index) ?? base.spec
      const what = { id, env: env.name, index, cpu, memMb }
      await turns.pass(async () => {
        const name = await kept.nameFor(what)
        // Said before it is done: after a crash the same disk is not kept twice.
        if (record.keptAs !== name) await views.reached(await report.write({ key: keys.vm(id), value: { ...record, keptAs: name } }))
        await kept.keep({ name, vm: what, owner: env.owner, image: base }, { signal })
        log.info('the disk of a VM was kept', { vm, image: name })
      }, signal)
      await images.dirsChanged()
    },
    async [Symbol.asyncDispose]() {
      stops.forEach((stop) => stop())
      await retiring[Symbol.asyncDispose]()
      await loop[Symbol.asyncDispose]()
    },
  }
}

/** What of a VM is to be kept: one that ran, of an ENV that did not fail. */
function wanted({ views }: KeepingOptions, id: string): { env: EnvRecord; index: number; record: VmRecord; image: string } | undefined {
  const parts = parseVmId(id)
  const env = parts && views.envOf(parts.envUid)
  const record = views.vms.get(keys.vm(id))
  if (!env || !record?.ran || !record.image || !(env.keepDisks ?? env.spec.keepDisks)) return undefined
  if (views.phases.get(keys.phase(env.name))?.phase === 'failed') return undefined
  return { env, index: parts.index, record, image: record.image }
}

/** Whether a VM of this host was made from the image: its disk may rest on it. */
const users = ({ views, name }: KeepingOptions, image: string): boolean => views.vms.entries().some(({ key, value }) => value.image === image && views.claims.get(keys.claim(lastPart(key)))?.host === name)
