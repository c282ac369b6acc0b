import { chmodSync, copyFileSync } from 'node:fs'
import type { World } from '../../../base/world.ts'
import type { Plan } from '../../../model/plan.ts'
import type { CheckedPlan } from './check.ts'
import { imageOptions } from './options.ts'
import type { GuestDir } from './guest-dir.ts'
import { readLog } from './serial-log.ts'

/** The id a probe uses: if the server dies in it, what is left is a guest nobody knows, and goes like every other. */
export const trialId = 'probe.0'

/** Nobody: a guest is tried with no more rights than guests have. */
const trialUid = 65_534

/** The test guest, whose kernel lies in the guest's own directory: its user may not pass the directories above. */
export function trialPlan(isRoot: boolean): CheckedPlan {
  const plan: Plan = {
    id: trialId,
    hostname: 'probe',
    cpu: 1,
    memMb: 16,
    arch: 'amd64',
    boot: 'kernel',
    files: { kernel: 'kernel' },
    disks: [],
    nics: [],
    ports: [],
    uid: isRoot ? trialUid : undefined,
    options: {},
  }
  return { plan, options: imageOptions(plan) }
}

export function putKernel(at: GuestDir, demoOs: string): void {
  copyFileSync(demoOs, at.path('kernel'))
  chmodSync(at.path('kernel'), 0o644)
}

/** Waits until both tasks of the test guest have run: then memory, the timer, interrupts and a serial line work. */
export async function untilItPrints(at: GuestDir, { world, limitMs, failure }: { world: World; limitMs: number; failure: () => string | undefined }): Promise<void> {
  for (const end = world.ticks() + limitMs; ; ) {
    const text = Buffer.from(readLog(at.serialLog, 64) ?? []).toString('latin1')
    if (/AB|BA/.test(text)) return
    const why = failure()
    if (why !== undefined) throw new Error(why)
    if (world.ticks() > end) throw new Error(`the test guest did not run within ${limitMs} ms${text === '' ? '' : `, it printed ${JSON.stringify(text)}`}`)
    await world.sleep(3)
  }
}
