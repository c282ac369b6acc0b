import type { EnvSpec, FullGroup } from './env.ts'
import { vmId } from './names.ts'
import type { VmSpec } from './vm.ts'

/** The part of an ENV's record that its VMs are derived from. */
export interface EnvRoot {
  name: string
  uid: string
  spec: EnvSpec
}

/** The VMs of an ENV, in order of their index. The only place that knows how a record becomes VMs. */
export function* expand(env: EnvRoot): Generator<VmSpec> {
  const kicked = new Set(env.spec.kicked)
  for (const group of fullGroups(env.spec)) {
    for (let index = group.first; index < group.first + group.count; index++) {
      if (!kicked.has(index)) yield vmOf(env, group, index)
    }
  }
}

/** The VM with this index, or undefined if the ENV has none. */
export function expandOne(env: EnvRoot, index: number): VmSpec | undefined {
  if (env.spec.kicked.includes(index)) return undefined
  const group = fullGroups(env.spec).find(({ first, count }) => index >= first && index < first + count)
  return group && vmOf(env, group, index)
}

/** How many VMs the ENV has. */
export const countVms = (spec: EnvSpec): number => spec.groups.reduce((sum, group) => sum + group.count, 0) - spec.kicked.length

/** What a host must have free for it: cpus, MB of memory and disk, VMs. */
export interface Demand {
  cpu: number
  memMb: number
  diskMb: number
  vms: number
}

export const nothing: Demand = { cpu: 0, memMb: 0, diskMb: 0, vms: 0 }

export const plus = (a: Demand, b: Demand): Demand => ({ cpu: a.cpu + b.cpu, memMb: a.memMb + b.memMb, diskMb: a.diskMb + b.diskMb, vms: a.vms + b.vms })
export const minus = (a: Demand, b: Demand): Demand => ({ cpu: a.cpu - b.cpu, memMb: a.memMb - b.memMb, diskMb: a.diskMb - b.diskMb, vms: a.vms - b.vms })

/** What all VMs of the ENV ask for together; a stopped ENV holds its disks only. */
export function demandOf(spec: EnvSpec): Demand {
  const kicked = new Set(spec.kicked)
  let sum = nothing
  for (const group of fullGroups(spec)) {
    let vms = group.count
    for (const index of kicked) if (index >= group.first && index < group.first + group.count) vms--
    const live = spec.stopped ? 0 : vms
    sum = plus(sum, { cpu: group.cpu * live, memMb: group.memMb * live, diskMb: group.diskMb * vms, vms })
  }
  return sum
}

/** The groups of a kept spec; a spec that admission has not filled in yet has none to give. */
export const fullGroups = (spec: EnvSpec): FullGroup[] => spec.groups as FullGroup[]

function vmOf({ name, uid, spec }: EnvRoot, group: FullGroup, index: number): VmSpec {
  const { image, digest, engine, cpu, memMb, diskMb } = group
  const { ports = group.ports, denyOutgoing = spec.denyOutgoing, deny = spec.deny } = spec.exceptions[index] ?? {}
  const vm: VmSpec = { id: vmId(uid, index), env: name, index, image, digest, engine, cpu, memMb, diskMb, ports, denyOutgoing, deny, stopped: spec.stopped, starts: spec.starts, sshKeys: spec.sshKeys }
  if (spec.userData !== undefined) vm.userData = spec.userData
  if (spec.host !== undefined) vm.host = spec.host
  return vm
}
