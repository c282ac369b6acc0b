import type { Call } from '../model/call.ts'
import type { Cloud } from '../model/cloud.ts'
import { fail } from '../model/errors.ts'
import { expand } from '../model/expand.ts'
import { matchesPrefix, vmName } from '../model/names.ts'
import type { VmSelection } from '../model/session.ts'

/** The names of the VMs a selection means, from the records of the ENVs. */
export async function vmNames(cloud: Cloud, { envs, prefixes, indices }: VmSelection, call: Call): Promise<string[]> {
  const records = await Promise.all(envs.map((name) => cloud.collection('env').get(name, call)))
  const isAll = prefixes === undefined && indices === undefined
  const names = records.flatMap((env) => [...expand(env)].flatMap((vm) => (isAll || indices?.includes(vm.index) || prefixes?.some((prefix) => matchesPrefix(vm.image, prefix)) ? [vmName(env.name, vm.index)] : [])))
  return names.length > 0 ? names : fail('not_found', 'no VM matches the selection', { subject: `env/${envs[0]}`, remedy: 'see `tt env show`' })
}
