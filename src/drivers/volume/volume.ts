import type { Call } from '../../model/call.ts'
import type { Disk } from '../../model/plan.ts'
import type { DriverHome, Probe } from '../engine/engine.ts'

/**
 * Keeps the disks of VMs. A volume is a writable copy of an image's base disk, or an empty disk, made in a time that does not depend on
 * its size; the base is never changed and never copied whole unless the file system can share its blocks.
 *
 * Rules for an implementer
 * - Every verb may be repeated: `create` of a volume that is there resolves and leaves its data; `destroy` of an unknown one resolves.
 * - `create` of a volume that is there and smaller makes it larger, in one step that a crash leaves undone or done: its data stay, what is new
 *   reads as zeros, and the guest sees the new size at its next start. The caller sees to it that no guest has it open.
 * - A volume half made by a crash is not in `list` and is made anew by `create`, or is in `list` and whole.
 * - `destroy` leaves nothing. Volumes outlive the server; they are found in `home.dir`, never in memory.
 * - `create` with `sizeBytes` smaller than the base, or than the volume that is there, is `invalid`. No room on the machine is `exhausted`, and
 *   leaves what was there before.
 */
export interface VolumeDriver extends AsyncDisposable {
  readonly features: VolumeFeatures
  probe(call?: Call): Promise<Probe>
  /** `owner` may read and write it, and nobody else but root. */
  create(id: string, options: { base?: Disk; sizeBytes: number; owner?: number }, call?: Call): Promise<void>
  /** The volume as a Disk an engine opens. `not_found` if there is none. */
  attach(id: string, call?: Call): Promise<Disk>
  destroy(id: string, call?: Call): Promise<void>
  /**
   * Writes all a guest would see of the volume as one `file` that needs no other, base included, and gives it as a base for other volumes; only
   * root, or the server's own user, may read it. `file` is there whole and for good, over a power cut too, or as it was; what a crash left half
   * made lies beside it as `file.new` until the next `keep` of the same file or until the caller removes it. Takes as long as the data is large
   * and no room for what is empty, behind everything else the machine does; a signal ends it at any moment. No guest has the volume open.
   */
  keep(id: string, file: string, call?: Call): Promise<Disk>
  list(call?: Call): Promise<string[]>
  clone?(from: string, to: string, call?: Call): Promise<void>
  snapshot?(id: string, name: string, call?: Call): Promise<void>
  rollback?(id: string, name: string, call?: Call): Promise<void>
}

export interface VolumeFeatures {
  /** Format of the Disks it makes. */
  format: 'raw' | 'qcow2'
  clone: boolean
  snapshot: boolean
}

export type VolumeFactory = (home: DriverHome, options: Record<string, unknown>) => Promise<VolumeDriver>
