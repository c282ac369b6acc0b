import type { Engine } from '../drivers/engine/engine.ts'
import { check } from '../model/check.ts'
import { fail } from '../model/errors.ts'
import { ImageManifest, type Way } from '../model/image.ts'
import { isImageName, shown } from '../model/names.ts'
import type { ImageOrder } from '../model/session.ts'

/** The disk of an image, once it is made. */
export type ImportedDisk = Omit<NonNullable<ImageManifest['disk']>, 'format'>

/**
 * What an order says of the image, as its manifest. Without a word about it, its guests are told by cloud-init who they are: so it is with the images that distributions offer.
 */
export function manifestOf(order: ImageOrder, disk: ImportedDisk, runners: Runners): ImageManifest {
  const { engines } = runners
  const { name, memo, arch = 'amd64', ways = runners.ways, features = ['cloud-init'], cpu, memMb, diskMb, ports } = order
  const manifest = {
    format: 1,
    name,
    ...(memo === undefined ? {} : { memo }),
    engines,
    boot: 'disk',
    disk: { ...disk, format: 'qcow2' },
    arch,
    agent: ways,
    features,
    defaults: Object.fromEntries(Object.entries({ cpu, memMb, diskMb, ports }).filter(([, value]) => value !== undefined)),
  }
  const { value, wrong } = check(ImageManifest, manifest)
  return value ?? fail('invalid', `there can be no such image: ${wrong}`, { subject: `image/${name}` })
}

/** The engines that will run an image, and the ways into its guests if its importer names none: their guest agent and ssh, or the engine where no agent can be reached. */
export interface Runners {
  engines: string[]
  ways: Way[]
}

/** Refuses what no bytes could make good, before any are fetched. */
export function checkOrder(order: ImageOrder, engines: ReadonlyMap<string, Engine>, host: string): Runners {
  const subject = `image/${order.name}`
  if (!isImageName(order.name)) fail('invalid', `${shown(order.name)} is no name of an image: letters, digits, ".", "_" and "-" in parts joined by ":" or "/", 255 at most`, { subject })
  if (order.name.startsWith('kept/')) fail('invalid', 'names that begin with kept/ are for disks that are kept', { subject })
  const able = [...engines].filter(([, { features }]) => features.boots.includes('disk')).map(([engine]) => engine)
  if (able.length === 0) fail('unsupported', `no engine of ${host} boots from a disk`, { subject: `host/${host}`, remedy: 'see `tt status --server`' })
  const arch = order.arch ?? 'amd64'
  if (!able.some((engine) => engines.get(engine)?.features.archs.includes(arch))) fail('unsupported', `no engine of ${host} runs ${arch}`, { subject: `host/${host}`, remedy: 'install the emulator of that processor there, for example qemu-system-arm' })
  const byEngine = able.every((engine) => engines.get(engine)?.features.channel)
  const runners: Runners = { engines: able, ways: byEngine ? ['engine'] : ['qga', 'ssh'] }
  manifestOf(order, { file: 'disk.qcow2', sha256: '0'.repeat(64), sizeBytes: 512 }, runners)
  return runners
}
