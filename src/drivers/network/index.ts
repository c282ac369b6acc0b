import type { NetworkFactory } from './network.ts'

/** Every network driver there is, in the order in which a host tries them. */
export const networks = {
  nftables: async () => (await import('./nftables/nftables.ts')).nftables,
  'user-mode': async () => (await import('./user-mode.ts')).userMode,
  fake: async () => (await import('./fake.ts')).fake,
} satisfies Record<string, () => Promise<NetworkFactory>>
