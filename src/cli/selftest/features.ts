import { cloudFeatures, deletion } from './cloud-features.ts'
import { guestFeatures } from './guest-features.ts'
import { networkFeatures } from './network-features.ts'
import type { Feature } from './stage.ts'

const last = ['stop-start', 'data']

/** Every feature there is, in the order in which they are seen: what restarts guests or takes them away comes last. */
export const features: readonly Feature[] = [
  ...cloudFeatures,
  ...guestFeatures.filter(({ name }) => !last.includes(name)),
  ...networkFeatures,
  ...guestFeatures.filter(({ name }) => last.includes(name)),
  deletion,
]
