import type { Effects } from '../base/effects.ts'
import type { World } from '../base/world.ts'
import type { Engine } from '../drivers/engine/engine.ts'
import type { Link, NetworkDriver } from '../drivers/network/network.ts'
import type { UnusableFact } from '../model/host.ts'
import type { Finding } from '../model/session.ts'
import type { Store } from '../store/store.ts'
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
