import type { ChannelFactory } from './channel.ts'

/** Every channel there is, by the name of its way in an image; each is loaded when it is asked for, and says by throwing why it cannot be used here. */
export const channels = {
  rexec: async () => (await import('./rexec/rexec.ts')).rexec,
  ssh: async () => {
    import.meta.resolve('ssh2') // Not loaded before the first guest is entered so: that takes 150 ms and 30 MB.
    return (await import('./ssh/ssh.ts')).ssh
  },
  qga: async () => (await import('./qga/qga.ts')).qga,
} satisfies Record<string, () => Promise<ChannelFactory>>
