import type { World } from '../../../base/world.ts'
import type { Changes } from './changes.ts'
import type { FakeDisks } from './fake-disks.ts'
import type { Guest } from './guest.ts'

/** What channels and consoles see of the engine. */
export interface Room {
  world: World
  changes: Changes
  disks: FakeDisks
  guest(id: string): Guest | undefined
  /** Resolves when a command may begin; rejects if this one is to fail. */
  beforeExec(id: string, guest: Guest, signal: AbortSignal): Promise<void>
  /** Whether this guest was told to hang once it has booted: it answers nothing. */
  isSilent(id: string, guest: Guest): boolean
  halt(id: string): Promise<void>
  /** Whether the engine was. Told as a change of every guest. */
  readonly disposed: boolean
}
