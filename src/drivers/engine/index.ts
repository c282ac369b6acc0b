import type { EngineFactory } from './engine.ts'

/** Every engine there is; each is loaded when it is asked for. */
export const engines = {
  qemu: async () => (await import('./qemu/qemu.ts')).qemu,
  fake: async () => (await import('./fake.ts')).fake,
} satisfies Record<string, () => Promise<EngineFactory>>
