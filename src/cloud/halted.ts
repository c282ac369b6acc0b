import type { EnvSpec } from '../model/env.ts'
import { fail } from '../model/errors.ts'
import { fullGroups } from '../model/expand.ts'
import { vmId, vmName } from '../model/names.ts'
import { type EnvRecord, keys } from '../model/records.ts'
import type { Truth } from './truth.ts'

/**
 * Refuses a change of hardware while a guest that would have it still runs: that an ENV is to halt does not mean that its guests have, and one that was
 * never halted would go on with what it has.
 */
export function checkHalted({ vms }: Pick<Truth, 'vms'>, { uid, name, spec }: EnvRecord, wanted: EnvSpec): void {
  for (const before of fullGroups(spec)) {
    const after = fullGroups(wanted).find(({ first }) => first === before.first)
    if (!after || (after.cpu === before.cpu && after.memMb === before.memMb && after.diskMb === before.diskMb)) continue
    for (let index = before.first; index < before.first + before.count; index++) {
      const state = vms.get(keys.vm(vmId(uid, index)))?.state
      if (state === 'starting' || state === 'booting' || state === 'ready') {
        fail('not_ready', `${vmName(name, index)} has not halted yet`, { subject: `env/${name}`, remedy: 'try again in a moment' })
      }
    }
  }
}
