import type { Cgroups } from '../../../base/cgroups.ts'
import { ended, type ProcessId, signalProcess } from '../../../base/processes.ts'
import type { Call } from '../../../model/call.ts'
import { fail } from '../../../model/errors.ts'
import { parseVmId } from '../../../model/names.ts'
import type { DriverHome } from '../engine.ts'
import type { Guest } from './guest.ts'
import type { Holder } from './holder.ts'
import { type GuestDir, guestDir } from './guest-dir.ts'

export interface Ending {
  /** Halts a running guest and gives back what only a running guest needs. */
  stop(id: string, graceMs: number, call?: Call): Promise<void>
  /** Removes everything of this id. */
  destroy(id: string): Promise<void>
  /** Takes back what a start made that failed; what was there before it stays. */
  undo(at: GuestDir, made: { dir: boolean; process?: ProcessId }): Promise<void>
}

/** QEMU writes out its disks when it is asked to quit. */
const quitMs = 2000
/** A killed process may have gigabytes of memory to give back. */
const dyingMs = 20_000

export function ending({ home, guests, cgroups }: { home: DriverHome; guests: Holder; cgroups: Cgroups | undefined }): Ending {
  const { world, effects } = home

  const kill = async (target: ProcessId, id: string) => {
    signalProcess(target, 'SIGKILL', effects)
    if (!(await ended(target, dyingMs, { world }))) fail('failed', `QEMU, process ${target.pid}, was killed and does not end`, { subject: `vm/${id}` })
  }
  /** An orderly end of QEMU where it answers, a kill where not. The guest notices neither. */
  const takeAway = async ({ process, execute }: Guest, id: string) => {
    const gone = await effects.act({ kind: 'process', verb: 'remove', subject: String(process.pid) }, async () => {
      const asked = await execute('quit').then(
        () => true,
        () => false,
      )
      return ended(process, asked ? quitMs : 0, { world })
    })
    if (!gone) await kill(process, id)
  }
  const remove = (at: GuestDir) => effects.act({ kind: 'file', verb: 'remove', subject: at.dir }, () => at.remove())

  return {
    async stop(id, graceMs, call) {
      if (!parseVmId(id)) return
      const at = guestDir(home, id)
      const guest = guests.get(id)
      if (guest) {
        const mayHalt = graceMs > 0 && !guest.paused && at.facts()?.powerButton === true
        const halts = mayHalt && (await guest.execute('system_powerdown').then(() => ended(guest.process, graceMs, { world, signal: call?.signal }), orFalse(call)))
        if (!halts) await takeAway(guest, id)
      }
      await cgroups?.remove(id)
      guests.tell(id)
    },
    async destroy(id) {
      if (!parseVmId(id)) return
      const at = guestDir(home, id)
      const process = at.process() ?? (at.exists() ? undefined : at.search())
      if (process) await kill(process, id)
      await cgroups?.remove(id)
      if (at.exists()) remove(at)
      guests.tell(id)
    },
    async undo(at, made) {
      if (made.process) await kill(made.process, at.id)
      await cgroups?.remove(at.id)
      if (made.dir) remove(at)
    },
  }
}

/** A machine that cannot press its button is no reason not to stop; a caller who gave up is. */
const orFalse = (call?: Call) => (fault: unknown) => {
  if (call?.signal?.aborted) throw fault
  return false
}
