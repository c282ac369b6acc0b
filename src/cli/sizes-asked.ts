import type { Flag, Given } from '../base/arguments.ts'
import type { EnvSpec, Group } from '../model/env.ts'
import { fail } from '../model/errors.ts'
import { flavorOf } from '../model/flavors.ts'
import type { Resource } from '../model/kinds.ts'
import { matchesPrefix, shown } from '../model/names.ts'
import type { Edit } from './env-change.ts'
import { asOne, countFor, familiesOf, type Family } from './families.ts'
import { numberOf, wholeNumber } from './flag-values.ts'

/** The hardware of VMs and how many there are. */
export const sizeFlags: readonly Flag[] = [
  { long: 'count', value: 'IMAGE=N', list: 'commas', about: 'So many VMs of this image, or group; N alone: of each. The last made are the first to go' },
  { long: 'cpu-num', short: 'C', value: 'N', about: 'Cpus of each VM; hardware changes while the ENV is stopped' },
  { long: 'mem-size', short: 'M', value: 'MB', about: 'Memory of each VM' },
  { long: 'disk-size', short: 'D', value: 'MB', about: 'Disk of each VM; disks grow only' },
  { long: 'flavor', value: 'NAME|NUMBER', of: 'flavor', about: 'Cpus, memory and disk of a flavor: see tt flavor list' },
  { long: 'os-prefix', short: 's', value: 'PREFIX', list: 'commas', of: 'prefix', about: 'Hardware of VMs of these images only' },
]

/** The name of a flavor, for the flag that asks for one. */
export const flavorAsked = (text: string): string => flavorOf(text)?.name ?? fail('invalid', `--flavor is ${shown(text)}, allowed is the name or number of a flavor`, { remedy: 'see `tt flavor list`' })

/** What the flags change of it. */
export const sizeEdit = (given: Given): (Edit | undefined)[] => [hardwareEdit(given), countEdit(given)]

function hardwareEdit(given: Given): Edit | undefined {
  const sizes = { cpu: numberOf(given, 'cpu-num'), memMb: numberOf(given, 'mem-size'), diskMb: numberOf(given, 'disk-size') }
  const asked = Object.fromEntries(Object.entries(sizes).filter(([, value]) => value !== undefined))
  const flavor = given.has('flavor') ? flavorAsked(given.one('flavor') ?? '') : undefined
  const prefixes = given.all('os-prefix')
  if (prefixes.includes('')) fail('invalid', '--os-prefix is "", allowed is a prefix that is not empty')
  if (flavor === undefined && Object.keys(asked).length === 0) {
    if (prefixes.length > 0) fail('invalid', '--os-prefix goes with --cpu-num, --mem-size, --disk-size or --flavor', { remedy: 'to take VMs out, use --kick-os' })
    return undefined
  }
  // What a flavor says comes from the server: here it is only taken out of the way.
  const sized = ({ cpu, memMb, diskMb, flavor: _flavor, ...group }: Group): Group => (flavor === undefined ? { ...group, cpu, memMb, diskMb, ...asked } : { ...group, flavor, ...asked })
  return (spec, env) => {
    const wanted = ({ image = '' }: Group) => prefixes.length === 0 || prefixes.some((prefix) => matchesPrefix(image, prefix))
    const none = prefixes.find((prefix) => !spec.groups.some(({ image = '' }) => matchesPrefix(image, prefix)))
    if (none !== undefined) noImage(env, none)
    return { ...spec, groups: spec.groups.map((group) => (wanted(group) ? sized(group) : group)) }
  }
}

const noImage = ({ name, spec }: Resource<'env'>, prefix: string): never =>
  fail('not_found', `ENV ${name} has no image that begins with ${shown(prefix)}`, { subject: `env/${name}`, remedy: `it has ${familiesOf(spec).map(({ label }) => label).join(', ')}` })

function countEdit(given: Given): Edit | undefined {
  if (!given.has('count')) return undefined
  const counts = given.all('count').map((text) => {
    const [, label, digits = ''] = /^(?:(.*)=)?([^=]*)$/s.exec(text) ?? []
    const count = wholeNumber('--count', digits)
    if (count === 0) fail('invalid', '--count is 0, allowed is at least 1', { remedy: 'to take all VMs of an image out, use --kick-os' })
    return { label, count }
  })
  if (counts.some(({ label }) => label === undefined) && counts.length > 1) fail('invalid', 'either --count N for each image or --count IMAGE=N for some')
  return (spec, env) =>
    counts.reduce((changed, { label, count }) => {
      const meant = label === undefined ? familiesOf(spec) : [familyOf(spec, env, label)]
      return meant.reduce((sum, family) => counted(sum, family, count), changed)
    }, spec)
}

/** By its name, else by a prefix that one alone has. */
function familyOf(spec: EnvSpec, env: Resource<'env'>, label: string): Family {
  const families = familiesOf(spec)
  const [exact] = families.filter((family) => family.label === label)
  const begins = families.filter(({ groups, label: own }) => label !== '' && (matchesPrefix(groups[0].image, label) || matchesPrefix(own, label)))
  if (exact) return exact
  if (begins.length > 1) fail('invalid', `--count is for ${shown(label)}, which may be ${begins.map((family) => family.label).join(' or ')}`, { subject: `env/${env.name}`, remedy: 'name one in full' })
  return begins[0] ?? noImage(env, label)
}

function counted(spec: EnvSpec, family: Family, count: number): EnvSpec {
  if (family.living === count) return spec
  const mine = ({ name, image }: Group) => name === family.groups[0].name && image === family.groups[0].image
  const at = spec.groups.findIndex(mine)
  // Other edits of the same call may have changed the group already: only its count is new.
  const group = { ...asOne(family), ...spec.groups[at], count: countFor(family, count, new Set(spec.kicked)) }
  const { first: _first, ...one } = group
  return { ...spec, groups: spec.groups.flatMap((other, index) => (index === at ? [one] : mine(other) ? [] : [other])) }
}
