import { cidrOf } from '../base/ipv4.ts'
import type { Flag, Given } from '../base/arguments.ts'
import type { EnvSpec, Exception } from '../model/env.ts'
import { fail } from '../model/errors.ts'
import { expandOne } from '../model/expand.ts'
import type { Resource } from '../model/kinds.ts'
import { checkEnvName, shown } from '../model/names.ts'
import type { Edit } from './env-change.ts'
import { partsOf, wholeNumber } from './flag-values.ts'

/** Where an ENV's VMs are reached and what they may reach; all of it changes while they run. */
export const reachFlags: readonly Flag[] = [
  { long: 'vm-port', short: 'p', value: 'PORT', list: 'commas', about: 'The ports of each VM to reach from outside, TCP and UDP, instead of those it has' },
  { long: 'no-vm-port', about: 'None but those that the images have' },
  { long: 'deny-outgoing', short: 'n', about: 'VMs may not open connections to the outside' },
  { long: 'allow-outgoing', short: 'y', about: 'They may' },
  { long: 'deny', value: 'ADDRESS', list: 'commas', about: 'Addresses or prefixes more that VMs may not open connections to; of a VM of another ENV on the same server, it cuts both directions' },
  { long: 'no-deny', value: 'ADDRESS', list: 'commas', about: 'Those they may again; all for every one' },
  { long: 'peer', value: 'ENV', list: 'commas', of: 'env', about: 'ENVs more it may talk with; of another owner, that one must name it too' },
  { long: 'no-peer', value: 'ENV', list: 'commas', of: 'env', about: 'Those it no longer talks with; all for every one' },
  { long: 'vm-id', short: 'm', also: ['index'], value: 'INDEX', list: 'commas', of: 'index', about: 'Ports, outgoing and --deny for these VMs only: 3 is demo.3. Without it they are for all' },
]

/** Addresses and prefixes of a flag, each once. */
export function addressesOf(given: Given, flag: string): string[] {
  return partsOf(given, flag, 'an IPv4 address or prefix').map((text) => (cidrOf(text) || text === 'all' ? text : fail('invalid', `--${flag} is ${shown(text)}, allowed is an IPv4 address or prefix, as 10.0.0.0/8`)))
}

/** Names of ENVs of a flag, each once. */
export function peersOf(given: Given, flag: string): string[] {
  const names = partsOf(given, flag, 'the name of an ENV')
  names.forEach(checkEnvName)
  const self = names.find((name) => flag === 'peer' && given.operands.includes(name))
  return self === undefined ? names : fail('invalid', `--peer is ${self}, the ENV itself: its VMs reach each other anyway`)
}

/** Ports of a flag, each once. */
export const portsOf = (given: Given, flag: string): number[] => [...new Set(given.all(flag).map((port) => wholeNumber(`--${flag}`, port)))]

/** What the flags change of it. */
export function reachEdit(given: Given): (Edit | undefined)[] {
  const indices = given.has('vm-id') ? [...new Set(given.all('vm-id').map((text) => indexOf('--vm-id', text)))] : undefined
  const edits = [portsEdit(given, indices), outgoingEdit(given, indices), denyEdit(given, indices)].filter((edit) => edit !== undefined)
  if (indices && peerEdit(given)) fail('invalid', '--peer is for whole ENVs: it does not go with --vm-id')
  if (indices && edits.length === 0) fail('invalid', '--vm-id goes with --vm-port, --deny-outgoing, --allow-outgoing, --deny or --no-deny', { remedy: 'to take VMs out, use --kick-vm' })
  return [...edits.map((edit): Edit => (spec, env) => (checkKnown(env, indices), edit(spec, env))), peerEdit(given)]
}

/** An index as people write it. */
export const indexOf = (flag: string, text: string): number => (/^(0|[1-9]\d{0,6})$/.test(text) ? Number(text) : fail('invalid', `${flag} is ${shown(text)}, allowed is an index: 3 for the VM demo.3`))

function checkKnown({ name, uid, spec }: Resource<'env'>, indices: readonly number[] | undefined): void {
  for (const index of indices ?? []) {
    if (!expandOne({ name, uid, spec }, index)) fail('not_found', `ENV ${name} has no VM ${index}`, { subject: `vm/${name}.${index}`, remedy: `see \`tt env show ${name}\`` })
  }
}

function portsEdit(given: Given, indices: readonly number[] | undefined): Edit | undefined {
  if (given.has('vm-port') && given.has('no-vm-port')) fail('invalid', 'either --vm-port or --no-vm-port')
  if (!given.has('vm-port') && !given.has('no-vm-port')) return undefined
  const ports = portsOf(given, 'vm-port')
  if (indices) return (spec) => forSome(spec, indices, () => ({ ports }))
  return (spec) => ({ ...forAll(spec, ({ ports: _ports, ...others }) => others), groups: spec.groups.map((group) => ({ ...group, ports })) })
}

function outgoingEdit(given: Given, indices: readonly number[] | undefined): Edit | undefined {
  const [deny, allow] = [given.has('deny-outgoing'), given.has('allow-outgoing')]
  if (deny && allow) fail('invalid', 'either --deny-outgoing or --allow-outgoing')
  if (!deny && !allow) return undefined
  if (indices) return (spec) => forSome(spec, indices, () => ({ denyOutgoing: deny === spec.denyOutgoing ? undefined : deny }))
  return (spec) => ({ ...forAll(spec, ({ denyOutgoing: _denied, ...others }) => others), denyOutgoing: deny })
}

function denyEdit(given: Given, indices: readonly number[] | undefined): Edit | undefined {
  const change = listChange(addressesOf(given, 'deny'), addressesOf(given, 'no-deny'))
  if (!change) return undefined
  const same = (one: readonly string[], other: readonly string[]) => one.length === other.length && one.every((text) => other.includes(text))
  if (indices) {
    return (spec) => forSome(spec, indices, (old) => {
      const deny = change(old.deny ?? spec.deny, '--no-deny')
      return { deny: same(deny, spec.deny) ? undefined : deny }
    })
  }
  // Who may reach less than the others keeps that: the change is made to each list.
  return (spec) => {
    checkListed('--no-deny', addressesOf(given, 'no-deny'), [...new Set([...spec.deny, ...Object.values(spec.exceptions).flatMap(({ deny: own = [] }) => own)])])
    const deny = change(spec.deny)
    const changed = (own: readonly string[]) => (same(change(own), deny) ? undefined : change(own))
    return { ...forAll(spec, (old) => (old.deny ? { ...old, deny: changed(old.deny) } : old)), deny }
  }
}

function peerEdit(given: Given): Edit | undefined {
  const change = listChange(peersOf(given, 'peer'), peersOf(given, 'no-peer'))
  return change && ((spec) => ({ ...spec, peers: change(spec.peers, '--no-peer') }))
}

/** A list with some more and some less. Named by a flag, what is to go and is not there is refused. */
function listChange(more: readonly string[], less: readonly string[]): ((list: readonly string[], strict?: string) => string[]) | undefined {
  if (more.includes('all')) fail('invalid', '"all" can be taken away, not added')
  if (more.length === 0 && less.length === 0) return undefined
  return (list, strict) => {
    if (strict !== undefined) checkListed(strict, less, list)
    const left = less.includes('all') ? [] : list.filter((text) => !less.includes(text))
    return [...left, ...more.filter((text) => !left.includes(text))]
  }
}

/** Refuses to take away what is not there. */
function checkListed(flag: string, less: readonly string[], list: readonly string[]): void {
  const lacking = less.filter((text) => text !== 'all' && !list.includes(text))
  if (lacking.length === 0) return
  fail('not_found', `${flag} is ${lacking.slice(0, 20).join(', ')}, which ${lacking.length === 1 ? 'is' : 'are'} not in its list`, { remedy: list.length === 0 ? 'the list is empty' : `the list is ${list.slice(0, 20).join(', ')}` })
}

const forAll = (spec: EnvSpec, change: (old: Exception) => Exception): EnvSpec => ({ ...spec, exceptions: cleaned(Object.fromEntries(Object.entries(spec.exceptions).map(([index, old]) => [index, change(old)]))) })

const forSome = (spec: EnvSpec, indices: readonly number[], change: (old: Exception) => Exception): EnvSpec => ({
  ...spec,
  exceptions: cleaned({ ...spec.exceptions, ...Object.fromEntries(indices.map((index) => [index, { ...spec.exceptions[index], ...change(spec.exceptions[index] ?? {}) }])) }),
})

/** Without fields that say nothing, and without VMs that are like the others. */
function cleaned(exceptions: Record<string, Exception>): EnvSpec['exceptions'] {
  const said = Object.entries(exceptions).map(([index, exception]) => [index, Object.fromEntries(Object.entries(exception).filter(([, value]) => value !== undefined))] as const)
  return Object.fromEntries(said.filter(([, exception]) => Object.keys(exception).length > 0))
}
