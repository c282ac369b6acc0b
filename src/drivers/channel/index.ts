import type { ChannelFactory } from './channel.ts'

/** Every channel there is, by the name of its agent in `image.json`; one line each, loaded when first used. */
export const channels: Record<string, () => Promise<ChannelFactory>> = {
  rexec: async () => (await import('./rexec/rexec.ts')).rexec,
}
