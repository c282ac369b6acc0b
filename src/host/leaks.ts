import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { readTextNow } from '../base/files.ts'
import type { Log } from '../base/log.ts'
import type { Engine } from '../drivers/engine/engine.ts'
import type { Link, NetworkDriver } from '../drivers/network/network.ts'
import type { VolumeDriver } from '../drivers/volume/volume.ts'
import { reasonOf } from '../model/errors.ts'
import { lastPart, type VmRecord } from '../model/records.ts'
import type { Leak } from '../model/session.ts'
import type { HostViews } from './views.ts'
import { linkOf } from './vms.ts'

export interface LeakOptions {
  name: string
  views: HostViews
  engines: ReadonlyMap<string, Engine>
  volume: VolumeDriver
  network: NetworkDriver
  /** The server's data directory and the names that belong in it. */
  dataDir: string
  expected: ReadonlySet<string>
  uidOf: (ip: string) => number | undefined
}

/**
 * What carries this server's mark and belongs to no VM it has claimed. Each driver looks at the machine itself (`/proc`, `ip -j`, `nft -j`,
 * cgroups, its directory), not at the journal and not at its memory.
 */
export async function findLeaks(options: LeakOptions): Promise<Leak[]> {
  const { engines, volume, network, dataDir, expected } = options
  const owned = ownedIds(options)
  const leaks: Leak[] = []
  for (const engine of engines.values()) leaks.push(...((await engine.leaks?.(owned)) ?? []))
  leaks.push(...((await network.leaks?.(ownedLinks(options))) ?? []))
  for (const id of await volume.list()) if (!owned.has(id)) leaks.push({ kind: 'file', subject: `volume ${id}`, why: 'no VM of this server has this volume' })
  for (const name of await readdir(dataDir).catch(() => [])) {
    if (!expected.has(name)) leaks.push({ kind: 'file', subject: join(dataDir, name), why: 'it lies in the data directory and is none of its files' })
  }
  for (const path of mountsBelow(dataDir)) leaks.push({ kind: 'mount', subject: path, why: 'it is mounted in the data directory, and no driver mounts anything' })
  return leaks
}

/** Fifth field of each line; blanks in it are written as `\\040`: https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html */
function mountsBelow(dir: string): string[] {
  const points = (readTextNow('/proc/self/mountinfo') ?? '').split('\n').map((line) => (line.split(' ')[4] ?? '').replaceAll('\\040', ' '))
  return points.filter((point) => point.startsWith(`${dir}/`))
}

/** Ids of all VMs this host has claimed. */
const ownedIds = ({ views, name }: { views: HostViews; name: string }): Set<string> =>
  new Set(views.claims.entries().filter(({ value }) => value.host === name).map(({ key }) => lastPart(key)))

/** The links of all VMs this host has claimed and given an address. */
export function ownedLinks({ views, name, uidOf }: { views: HostViews; name: string; uidOf: (ip: string) => number | undefined }): Link[] {
  const owned = ownedIds({ views, name })
  return views.vms
    .entries()
    .map(({ key, value }): [string, VmRecord] => [lastPart(key), value])
    .filter(([id, record]) => owned.has(id) && record.ip !== '')
    .map(([id, record]) => linkOf({ id, denyOutgoing: views.wish(id)?.denyOutgoing ?? false }, record, uidOf(record.ip)))
}

/** Takes away what an earlier life of the server left on the machine and no claim explains; the network is made to hold exactly what is claimed. */
export async function sweep(options: LeakOptions & { log: Pick<Log, 'info' | 'warn'> }): Promise<void> {
  const { engines, volume, network, log } = options
  const owned = ownedIds(options)
  // One thing that cannot be removed must not keep the server from its other VMs; `tt doctor` goes on to name it.
  const tried = (work: () => Promise<void>, what: string) => work().catch((fault: unknown) => log.warn('what no claim explains could not be removed', { what, fault: reasonOf(fault) }))
  for (const engine of engines.values()) {
    for (const id of await engine.list()) {
      if (owned.has(id)) continue
      log.info('removing a guest that no claim explains', { vm: id })
      await tried(() => engine.destroy(id), `guest ${id}`)
    }
  }
  await network.reconcile(ownedLinks(options))
  for (const id of await volume.list()) if (!owned.has(id)) await tried(() => volume.destroy(id), `volume ${id}`)
}
