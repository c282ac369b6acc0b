import type { Guest } from './channel.ts'

/** A guest for a channel under test: what its case does not name refuses, or is a fixed secret. */
export const guestOf = (given: Pick<Guest, 'id' | 'dial' | 'world' | 'log'> & Partial<Guest>): Guest => ({
  address: () => undefined,
  secret: new Uint8Array(32).fill(7),
  sshKey: () => Promise.reject(new Error('this case has no ssh key')),
  dir: () => Promise.reject(new Error('this case has no directory')),
  ...given,
})
