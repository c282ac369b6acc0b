import { type Demand, type EnvRoot, expand, expandOne, nothing, plus } from '../model/expand.ts'
import { parseVmId, vmId } from '../model/names.ts'
import { keys, lastPart } from '../model/records.ts'
import type { VmSpec } from '../model/vm.ts'
import type { Truth } from './truth.ts'

/** What the VMs that a host has claimed ask of it: all of them, or those of one ENV as it is given. */
export function demandOn(truth: Truth, host: string, only?: EnvRoot): Demand {
  let used = nothing
  if (only) {
    for (const vm of expand(only)) if (truth.claims.get(keys.claim(vmId(only.uid, vm.index)))?.host === host) used = plus(used, demandOfVm(vm))
    return used
  }
  for (const { key, value } of truth.claims.entries()) {
    const id = value.host === host ? parseVmId(lastPart(key)) : undefined
    const env = id && truth.envOf(id.envUid)
    const vm = env && expandOne(env, id.index)
    if (vm) used = plus(used, demandOfVm(vm))
  }
  return used
}

/** A halted VM holds its disk only. */
const demandOfVm = (vm: VmSpec): Demand => (vm.stopped ? { ...nothing, diskMb: vm.diskMb, vms: 1 } : { cpu: vm.cpu, memMb: vm.memMb, diskMb: vm.diskMb, vms: 1 })
