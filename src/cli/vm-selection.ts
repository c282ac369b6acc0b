import type { Flag, Given } from '../base/arguments.ts'
import type { Call } from '../model/call.ts'
import type { Cloud } from '../model/cloud.ts'
import { fail } from '../model/errors.ts'
import { checkEnvName, matchesPrefix, parseVmName, shown } from '../model/names.ts'
import type { VmSelection } from '../model/session.ts'
import type { VmSpec } from '../model/vm.ts'

/** The flags that narrow a command to some of an ENV's VMs: whoever fits one of them is meant. */
export const selectionFlags: readonly Flag[] = [
  { long: 'os-prefix', short: 's', value: 'PREFIX', list: 'commas', of: 'prefix', about: 'Only VMs whose image begins with it' },
  { long: 'vm-id', short: 'm', also: ['index'], value: 'INDEX', list: 'commas', of: 'index', about: 'Only VMs with this index: 3 is demo.3, which may also stand as the NAME' },
]

/** How to get into the guests; read by `viaOf`. */
export const viaFlags: readonly Flag[] = [
  { long: 'via', value: 'rexec|ssh|qga|engine', about: 'The way into the guests: our agent, ssh, the guest agent of QEMU, or the engine itself', default: 'the first that their image names and that answers' },
  { long: 'use-ssh', about: 'By ssh, with the key of the ENV: the same as --via=ssh' },
]

/** The VMs that names and flags pick, checked before anybody is asked. A name may be that of a VM: demo.3 is demo and the index 3. */
export function selectionOf(given: Given): VmSelection {
  const prefixes = given.all('os-prefix')
  if (prefixes.includes('')) fail('invalid', '--os-prefix is "", allowed is a prefix that is not empty')
  const { envs, indices: named } = envsOf(given.operands)
  const indices = [...new Set([...named, ...given.all('vm-id').map(indexOf)])]
  return { envs, ...(prefixes.length > 0 ? { prefixes } : {}), ...(indices.length > 0 ? { indices } : {}) }
}

/** ENVs, and the indices of those named with one. A selection has the same indices for all its ENVs, so names that pick others in each are refused. */
function envsOf(names: readonly string[]): { envs: string[]; indices: number[] } {
  const byEnv = new Map<string, Set<number>>()
  for (const name of names) {
    const vm = parseVmName(name)
    const env = vm?.env ?? name
    checkEnvName(env)
    const indices = byEnv.get(env) ?? new Set()
    byEnv.set(env, indices.add(vm?.index ?? -1))
  }
  const [first = new Set<number>(), ...others] = byEnv.values()
  const same = others.every((one) => one.size === first.size && [...one].every((index) => first.has(index)))
  if (!same || (first.has(-1) && first.size > 1)) fail('invalid', 'the names pick different VMs in each ENV', { remedy: 'name whole ENVs, or the VMs of one, or ask for each by itself' })
  return { envs: [...byEnv.keys()], indices: first.has(-1) ? [] : [...first] }
}

const indexOf = (text: string): number =>
  /^(0|[1-9]\d{0,6})$/.test(text) ? Number(text) : fail('invalid', `--vm-id is ${shown(text)}, allowed is an index: 3 for the VM demo.3`)

/** Whether the selection can mean one VM at most, whatever the ENV holds. */
export const isOneAtMost = ({ envs, prefixes, indices }: VmSelection): boolean => envs.length === 1 && prefixes === undefined && indices?.length === 1

/** The VMs the selection means, from the records of the ENVs: no VM is listed for it. */
export async function* selected(cloud: Cloud, { envs, prefixes, indices }: VmSelection, call: Call): AsyncGenerator<VmSpec> {
  const { expand } = await import('../model/expand.ts')
  for (const name of envs) {
    for (const vm of expand(await cloud.collection('env').get(name, call))) {
      if ((prefixes === undefined && indices === undefined) || indices?.includes(vm.index) || prefixes?.some((prefix) => matchesPrefix(vm.image, prefix))) yield vm
    }
  }
}

/** How many VMs that are. Counts no further than two. */
export async function oneOrMore(cloud: Cloud, vms: VmSelection, call: Call): Promise<number> {
  if (vms.envs.length > 1) return 2
  let count = 0
  for await (const _ of selected(cloud, vms, call)) if (++count === 2) return count
  return count
}
