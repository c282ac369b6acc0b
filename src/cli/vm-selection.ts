import type { Flag, Given } from '../base/arguments.ts'
import type { Call } from '../model/call.ts'
import type { Cloud } from '../model/cloud.ts'
import { fail } from '../model/errors.ts'
import { checkEnvName, matchesPrefix, parseVmName, shown } from '../model/names.ts'
import type { VmSelection } from '../model/session.ts'

/** The flags that narrow a command to some of an ENV's VMs: whoever fits one of them is meant. */
export const selectionFlags: readonly Flag[] = [
  { long: 'os-prefix', short: 's', value: 'PREFIX', list: 'commas', of: 'prefix', about: 'Only VMs whose image begins with it' },
  { long: 'vm-id', short: 'm', also: ['index'], value: 'INDEX', list: 'commas', of: 'index', about: 'Only VMs with this index: 3 is demo.3' },
]

/** The VMs that names and flags pick, checked before anybody is asked. */
export function selectionOf(given: Given): VmSelection {
  const envs = [...new Set(given.operands)]
  envs.forEach(checkNotVm)
  envs.forEach(checkEnvName)
  const prefixes = given.all('os-prefix')
  if (prefixes.includes('')) fail('invalid', '--os-prefix is "", allowed is a prefix that is not empty')
  const indices = [...new Set(given.all('vm-id').map(indexOf))]
  return { envs, ...(prefixes.length > 0 ? { prefixes } : {}), ...(indices.length > 0 ? { indices } : {}) }
}

function checkNotVm(name: string): void {
  const vm = parseVmName(name)
  if (vm) fail('invalid', `${shown(name)} is not the name of an ENV but of a VM`, { subject: `vm/${name}`, remedy: `say \`${vm.env} -m ${vm.index}\`` })
}

const indexOf = (text: string): number =>
  /^(0|[1-9]\d{0,6})$/.test(text) ? Number(text) : fail('invalid', `--vm-id is ${shown(text)}, allowed is an index: 3 for the VM demo.3`)

/** Whether the selection can mean one VM at most, whatever the ENV holds. */
export const isOneAtMost = ({ envs, prefixes, indices }: VmSelection): boolean => envs.length === 1 && prefixes === undefined && indices?.length === 1

/** How many VMs the selection means, from the records of the ENVs: no VM is listed for it. Counts no further than two. */
export async function oneOrMore(cloud: Cloud, { envs, prefixes, indices }: VmSelection, call: Call): Promise<number> {
  if (envs.length > 1) return 2
  const { expand } = await import('../model/expand.ts')
  let count = 0
  for (const name of envs) {
    for (const vm of expand(await cloud.collection('env').get(name, call))) {
      const wanted = (prefixes === undefined && indices === undefined) || indices?.includes(vm.index) || prefixes?.some((prefix) => matchesPrefix(vm.image, prefix))
      if (wanted && ++count === 2) return count
    }
  }
  return count
}
