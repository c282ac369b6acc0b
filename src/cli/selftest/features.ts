import { cloudFeatures, deletion } from './cloud-features.ts'
import { guestFeatures } from './guest-features.ts'
import { networkFeatures } from './network-features.ts'
import type { Stage } from './stage.ts'

/** One thing a cloud can do, seen at work. */
export interface Feature {
  name: string
  /** For people: `commands run in guests`. */
  about: string
  /** Throws the reason if it does not work, and `Skip` if it cannot be seen here. */
  run(stage: Stage): Promise<void>
}

const last = ['stop-start', 'data']

/** Every feature there is, in the order in which they are seen: what restarts guests or takes them away comes last. */
export const features: readonly Feature[] = [
  ...cloudFeatures,
  ...guestFeatures.filter(({ name }) => !last.includes(name)),
  ...networkFeatures,
  ...guestFeatures.filter(({ name }) => last.includes(name)),
  deletion,
]
