import type { Flag, Given } from '../base/arguments.ts'
import type { EnvSpec } from '../model/env.ts'
import { fail } from '../model/errors.ts'
import { expand, expandOne } from '../model/expand.ts'
import type { Resource } from '../model/kinds.ts'
import { matchesPrefix, parseVmName, shown, vmName } from '../model/names.ts'
import type { Edit } from './env-change.ts'
import { partsOf } from './flag-values.ts'
import { indexOf } from './reach-asked.ts'

/** Taking VMs out of an ENV. */
export const kickFlags: readonly Flag[] = [
  { long: 'kick-vm', value: 'INDEX', list: 'commas', of: 'index', about: 'Take these VMs out: 3 or demo.3. One that is not there is an error, and none is taken out' },
  { long: 'kick-os', value: 'PREFIX', list: 'commas', of: 'prefix', about: 'Take all VMs of these images out' },
  { long: 'kick-dead', about: 'Ask every VM whether it lives, and take out those that are silent; one that is still booting is not' },
]

/** What the flags take out; who is dead is asked elsewhere. */
export const kickEdit = (given: Given): (Edit | undefined)[] => [kickVms(given), kickImages(given)]

/** The spec without these VMs. */
export const without = (spec: EnvSpec, indices: Iterable<number>): EnvSpec => ({ ...spec, kicked: [...new Set([...spec.kicked, ...indices])].sort((one, other) => one - other) })

function kickVms(given: Given): Edit | undefined {
  if (!given.has('kick-vm')) return undefined
  const asked = given.all('kick-vm').map((text) => {
    const vm = parseVmName(text)
    if (vm && !given.operands.includes(vm.env)) fail('invalid', `--kick-vm is ${shown(text)}, and ${vm.env} is none of the ENVs that were named`)
    return vm ?? { env: undefined, index: indexOf('--kick-vm', text) }
  })
  return (spec, env) => {
    const { name, uid } = env
    const indices = asked.flatMap((one) => (one.env === undefined || one.env === name ? [one.index] : []))
    const unknown = indices.find((index) => !expandOne({ name, uid, spec: env.spec }, index))
    if (unknown !== undefined) fail('not_found', `there is no VM ${vmName(name, unknown)}; none was taken out of ${name}`, { subject: `vm/${vmName(name, unknown)}`, remedy: `see \`tt env show ${name}\`` })
    return without(spec, indices)
  }
}

function kickImages(given: Given): Edit | undefined {
  if (!given.has('kick-os')) return undefined
  const prefixes = partsOf(given, 'kick-os', 'a prefix that is not empty')
  return (spec, env) => {
    const vms = [...expand(env)]
    const none = prefixes.find((prefix) => !vms.some(({ image }) => matchesPrefix(image, prefix)))
    if (none !== undefined) nothingBegins(env, none)
    return without(spec, vms.flatMap(({ image, index }) => (prefixes.some((prefix) => matchesPrefix(image, prefix)) ? [index] : [])))
  }
}

const nothingBegins = (env: Resource<'env'>, prefix: string): never => {
  const images = [...new Set([...expand(env)].map(({ image }) => image))]
  return fail('not_found', `no VM of ENV ${env.name} has an image that begins with ${shown(prefix)}; none was taken out`, { subject: `env/${env.name}`, remedy: images.length === 0 ? 'it has no VMs' : `its images are ${images.join(', ')}` })
}
