import type { Effects } from '../base/effects.ts'
import type { World } from '../base/world.ts'
import type { Engine } from '../drivers/engine/engine.ts'
import type { Link, NetworkDriver } from '../drivers/network/network.ts'
import { reasonOf } from '../model/errors.ts'
import type { UnusableFact } from '../model/host.ts'
import type { Finding } from '../model/session.ts'
import type { Store } from '../store/store.ts'
import { certificate, clock } from './checks-clock.ts'
import { data } from './checks-data.ts'
import { images } from './checks-images.ts'
import { drivers, engines, network } from './checks-machine.ts'
import { ports, space } from './checks-space.ts'
import type { Catalogue } from './images.ts'
import type { HostViews } from './views.ts'

/** What the checks look at: a running host, or what is left of one while its server is stopped. */
export interface CheckGround {
  name: string
  views: HostViews
  store: Store
  world: World
  effects: Effects
  engines: ReadonlyMap<string, Engine>
  network: NetworkDriver
  unusable: readonly UnusableFact[]
  /** Ids of all VMs this host has claimed. */
  owned(): ReadonlySet<string>
  /** Links of the VMs that are to stay. */
  links(): Link[]
  /** Makes the machine hold exactly these links, with no change of others in between. */
  mendNetwork(): Promise<void>
  images: Pick<Catalogue, 'broken'>
  imageDirs(): readonly string[]
  cacheDir: string
  /** VMs run as users of their own, who must be able to read images. */
  ownUsers: boolean
  dataDir: string
  portFrom: number
  portTo: number
  /** The certificate the API shows, in PEM. */
  certificate?: () => string | undefined
  /** The difference between the clock and what never jumps, as it was when the server started. */
  clockBegan?: number
}

/** A finding that can be mended without harm carries how. */
export type Found = Finding & { mend?: () => Promise<void> }

/** Looks at one thing; changes nothing. */
export type Check = (ground: CheckGround) => Promise<Found[]>

const checks: readonly (readonly [string, Check])[] = [
  ['engines', engines],
  ['drivers', drivers],
  ['network', network],
  ['space', space],
  ['ports', ports],
  ['clock', clock],
  ['certificate', certificate],
  ['images', images],
  ['data', data],
]

/** Looks at everything, one thing after the other. With `fix` what can be mended is, and looked at again: `fixed` is what is not found any more. */
export async function* examined(ground: CheckGround, { fix }: { fix: boolean }): AsyncGenerator<Finding> {
  for (const [name, check] of checks) {
    const found = await looked(ground, { name, check })
    const mendable = fix ? found.filter(({ mend }) => mend) : []
    if (mendable.length === 0) {
      for (const one of found) yield plain(one)
      continue
    }
    const faults = new Map<string, string>()
    for (const one of mendable) await one.mend?.().catch((fault: unknown) => faults.set(one.message, reasonOf(fault)))
    const left = await looked(ground, { name, check })
    for (const one of mendable) if (!left.some(({ message }) => message === one.message)) yield { ...plain(one), fixed: true }
    for (const one of left) yield { ...plain(one), ...(faults.has(one.message) ? { message: `${one.message}; it could not be mended: ${faults.get(one.message)}` } : {}) }
  }
}

/** A check that itself fails is a finding. */
async function looked(ground: CheckGround, { name, check }: { name: string; check: Check }): Promise<Found[]> {
  try {
    return await check(ground)
  } catch (thrown) {
    return [{ check: name, state: 'bad', message: `it could not be looked at: ${reasonOf(thrown)}`, remedy: 'put that right and ask again' }]
  }
}

function plain({ mend: _mend, ...finding }: Found): Finding {
  return finding
}
