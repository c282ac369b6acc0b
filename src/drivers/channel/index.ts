import type { ChannelFactory } from './channel.ts'

/** Every channel there is, by the name of its agent in an image; each is loaded when it is asked for. */
export const channels = {
  rexec: async () => (await import('./rexec/rexec.ts')).rexec,
} satisfies Record<string, () => Promise<ChannelFactory>>
