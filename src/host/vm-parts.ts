import type { Log } from '../base/log.ts'
import type { Gate } from '../base/queue.ts'
import type { World } from '../base/world.ts'
import type { Engine } from '../drivers/engine/engine.ts'
import type { VolumeDriver } from '../drivers/volume/volume.ts'
import { keys, type VmRecord } from '../model/records.ts'
import type { AddressBook } from './addresses.ts'
import type { Guests } from './guests.ts'
import type { Catalogue } from './images.ts'
import type { Keeping } from './keeping.ts'
import type { Links } from './links.ts'
import type { Report } from './report.ts'
import type { HostViews } from './views.ts'

export interface VmOptions {
  name: string
  views: HostViews
  report: Report
  world: World
  log: Log
  engines: ReadonlyMap<string, Engine>
  volume: VolumeDriver
  links: Links
  addresses: AddressBook
  images: Catalogue
  guests: Guests
  keeping: Keeping
  /** Names the present boot of the machine: VMs of an earlier one are started again. */
  boot: string
  /** Gives each VM a user of its own, or none where the server may not. */
  uidOf: (ip: string) => number | undefined
}

/** What all that is done with VMs has in common. */
export interface VmParts extends VmOptions {
  /** By engine: what is slow there holds up no other, and never a removal. */
  makes: ReadonlyMap<string, Gate>
  starts: ReadonlyMap<string, Gate>
  removals: Gate
  tries: Map<string, number>
  /** How often each VM could not be made as wanted, one time after the other. */
  faults: Map<string, number>
  /** Passed before each step that many VMs take together. */
  breathe: () => Promise<void>
}

/** So often is tried what may succeed the next time, before it is told. */
export const triesBeforeFailure = 3

/** Says how a VM is; whoever looks here sees it once this resolves. */
export async function write(parts: VmParts, id: string, record: VmRecord): Promise<void> {
  await parts.views.reached(await parts.report.write({ key: keys.vm(id), value: record }))
}

/** The moment, as records have it. */
export const iso = (world: World): string => new Date(world.now()).toISOString()

/** The record of a VM that has got on: whatever is wrong with it then is something else. */
export function unstuck(record: VmRecord): VmRecord {
  if (record.stuck === undefined) return record
  const { stuck: _stuck, ...rest } = record
  return rest
}
