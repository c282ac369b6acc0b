import type { Cgroups } from '../../../base/cgroups.ts'
import { randomHex } from '../../../base/world.ts'
import type { Call } from '../../../model/call.ts'
import { asTtError, fail, TtError } from '../../../model/errors.ts'
import type { DriverHome } from '../engine.ts'
import type { CheckedPlan } from './check.ts'
import type { Ending } from './ending.ts'
import type { Guest } from './guest.ts'
import type { Holder } from './holder.ts'
import { lastWords, launch, type Launch, outOfMemory } from './launch.ts'
import { type GuestDir, guestDir } from './guest-dir.ts'
import { within } from './wait.ts'

/** From the start of the process to a processor that runs; some 30 ms on a machine with nothing else to do. */
const startLimitMs = 20_000

export type Boot = (plan: CheckedPlan, by: { launch: Launch; cgroups: Cgroups | undefined; prepare?: () => void }, call?: Call) => Promise<void>

/** Starts guests: what is running already is left as it is, what fails leaves nothing. */
export function starting({ home, guests, ending }: { home: DriverHome; guests: Holder; ending: Ending }): Boot {
  const { world, log } = home
  return async (plan, by, call) => {
    const { id } = plan.plan
    const at = guestDir(home, id)
    const isNew = !at.exists()
    const ready = (guest: Guest) => within(guest.ready, { world, limitMs: startLimitMs, what: 'the start of QEMU', call })
    const running = isNew ? undefined : guests.get(id)
    if (running) return ready(running)
    let started: Guest | undefined
    try {
      // Its group as the last run left it may hold others, less memory than is wanted now, and a count of what the kernel ended.
      if (!isNew) await by.cgroups?.remove(id)
      const cookie = randomHex(world, 8)
      const { found, ended, fault } = launch(plan, { ...by, ...home, at, cookie })
      if (!found) {
        const { code, message, remedy } = asTtError(await fault)
        return fail(code === 'internal' ? 'failed' : code, `QEMU could not be started: ${message}`, { subject: `vm/${id}`, ...(remedy === undefined ? {} : { remedy }) })
      }
      started = guests.add(id, found, ended)
      await ready(started)
      guests.tell(id)
    } catch (fault) {
      const other = guests.get(id)
      if (other && other !== started) return ready(other) // What an earlier server had begun to start came up meanwhile.
      const why = reason(fault, at, outOfMemory(at, by.cgroups))
      await ending
        .undo(at, { dir: isNew, process: started?.process })
        .catch((trouble: unknown) => log.warn('not all that a failed start had made could be removed', { vm: id, fault: String(trouble) }))
      throw why
    }
  }
}

/** QEMU's last words or the kernel's, where it is QEMU that failed. */
function reason(fault: unknown, at: GuestDir, kernels?: string): unknown {
  if (!(fault instanceof TtError) || fault.code !== 'failed') return fault
  const words = kernels ?? lastWords(at)
  const remedy = words.includes('Permission denied') ? "the VM's own user has to be able to read the image: see that all may pass the directories above it (mode o+x)" : undefined
  return new TtError({ code: 'failed', message: `QEMU did not start: ${words === '' ? fault.message : words}`, subject: `vm/${at.id}`, remedy }, fault)
}
