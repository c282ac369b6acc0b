import type { VolumeFactory } from './volume.ts'

/** Every volume driver there is; each is loaded when it is asked for. */
export const volumes = {
  qcow2: async () => (await import('./qcow2/qcow2.ts')).qcow2,
  reflink: async () => (await import('./reflink.ts')).reflink,
  fake: async () => (await import('./fake.ts')).fake,
} satisfies Record<string, () => Promise<VolumeFactory>>
