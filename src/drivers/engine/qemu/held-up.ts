import type { World } from '../../../base/world.ts'

/**
 * A guest whose disk found no room on the host: QEMU has stopped it in the middle of its write rather than tell it of an error, after which its
 * file system would be no more. It is let go on again and again until there is room, and then never knows.
 */
export interface HeldUp {
  /** Why the guest does not run, as long as it does not. */
  readonly trouble: string | undefined
  /** QEMU said that there was no room. */
  begin(): void
  /** Somebody else decides now whether the guest runs. */
  end(): void
}

const retryMs = 2000
/** A guest that ran on for so long has found room. */
const settledMs = 500

export function heldUp({ world, resume, onChange }: { world: World; resume: () => Promise<unknown>; onChange: () => void }): HeldUp {
  let trouble: string | undefined
  let refusals = 0
  let cancel = () => {}
  const attempt = async () => {
    const before = refusals
    const asked = await resume().then(
      () => true,
      () => false,
    )
    if (trouble === undefined) return
    cancel = world.after(settledMs, () => {
      if (!asked || refusals !== before) return wait()
      trouble = undefined
      onChange()
    })
  }
  const wait = () => {
    cancel = world.after(retryMs, () => void attempt())
  }
  return {
    get trouble() {
      return trouble
    },
    begin() {
      refusals++
      if (trouble !== undefined) return
      trouble = "the host's disk is full: the VM is held in the middle of a write and goes on once there is room"
      onChange()
      wait()
    },
    end() {
      cancel()
      trouble = undefined
    },
  }
}
