import { statSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Effects } from '../base/effects.ts'
import { readTextNow, removeAll } from '../base/files.ts'
import type { Log } from '../base/log.ts'
import type { World } from '../base/world.ts'
import type { Engine } from '../drivers/engine/engine.ts'
import type { NetworkDriver } from '../drivers/network/network.ts'
import type { VolumeDriver } from '../drivers/volume/volume.ts'
import { reasonOf } from '../model/errors.ts'
import { keys, lastPart } from '../model/records.ts'
import type { Leak } from '../model/session.ts'
import type { Links } from './links.ts'
import type { HostViews } from './views.ts'

export interface LeakOptions {
  name: string
  views: HostViews
  engines: ReadonlyMap<string, Engine>
  volume: VolumeDriver
  network: NetworkDriver
  links: Pick<Links, 'owned' | 'begin' | 'mend'>
  /** The server's data directory and the names that belong in it. */
  dataDir: string
  expected: ReadonlySet<string>
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
  leaks.push(...((await network.leaks?.(options.links.owned())) ?? []))
  for (const id of await volume.list()) if (!owned.has(id)) leaks.push({ kind: 'file', subject: `volume ${id}`, why: 'no VM of this server has this volume' })
  for (const name of await readdir(dataDir).catch(() => [])) {
    if (!expected.has(name)) leaks.push({ kind: 'file', subject: join(dataDir, name), why: 'it lies in the data directory and is none of its files' })
  }
  for (const path of mountsBelow(dataDir)) leaks.push({ kind: 'mount', subject: path, why: 'it is mounted in the data directory, and no driver mounts anything' })
  return leaks
}

/**
 * Takes away what `findLeaks` names, by the hands of the drivers, and looks again: what is left of it is in the answer. Files and mounts in the data directory that no
 * driver knows are left: somebody put them there.
 */
export async function removeLeaks(options: LeakOptions & { effects: Effects; world: World }): Promise<{ found: Leak[]; left: Leak[] }> {
  const { engines, volume, dataDir, effects } = options
  const found = await findLeaks(options)
  if (found.length === 0) return { found, left: [] }
  for (const engine of engines.values()) await engine.clean?.(ownedIds(options))
  if (found.some(({ kind }) => kind === 'tap' || kind === 'bridge' || kind === 'nft')) await options.links.mend()
  for (const id of await volume.list()) if (!ownedIds(options).has(id)) await volume.destroy(id)
  for (const path of await unfinished(options)) effects.act({ kind: 'file', verb: 'remove', subject: path }, () => removeAll(path))
  const now = new Set((await findLeaks(options)).map(leakKey))
  return { found, left: found.filter((leak) => now.has(leakKey(leak))) }

  /** Of a file of ours that was being written when the server was killed. */
  async function unfinished({ expected, world }: typeof options): Promise<string[]> {
    const names = (await readdir(dataDir).catch(() => [])).filter((name) => name.endsWith('.new') && expected.has(name.slice(0, -4)))
    return names.map((name) => join(dataDir, name)).filter((path) => world.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Infinity) > writingMs)
  }
}

/** A file that is being written is not older. */
const writingMs = 10_000

const leakKey = ({ kind, subject }: Leak) => `${kind} ${subject}`

/** Fifth field of each line; blanks in it are written as `\\040`: https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html */
function mountsBelow(dir: string): string[] {
  const points = (readTextNow('/proc/self/mountinfo') ?? '').split('\n').map((line) => (line.split(' ')[4] ?? '').replaceAll('\\040', ' '))
  return points.filter((point) => point.startsWith(`${dir}/`))
}

/** Ids of all VMs this host has claimed, or may have: a claim that cannot be read says no less. */
export const ownedIds = ({ views, name }: { views: HostViews; name: string }): Set<string> =>
  new Set([...views.claims.entries().filter(({ value }) => value.host === name), ...[...views.leftOut.keys()].filter((key) => key.startsWith(keys.claims)).map((key) => ({ key }))].map(({ key }) => lastPart(key)))

/** Takes away what an earlier life of the server left on the machine and no claim explains; the network is made to hold exactly what is claimed. */
export async function sweep(options: LeakOptions & { log: Pick<Log, 'info' | 'warn'> }): Promise<void> {
  const { engines, volume, log } = options
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
  await options.links.begin()
  for (const id of await volume.list()) if (!owned.has(id)) await tried(() => volume.destroy(id), `volume ${id}`)
}
