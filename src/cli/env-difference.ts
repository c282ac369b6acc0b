import type { EnvSpec, Exception } from '../model/env.ts'
import { flavorOf } from '../model/flavors.ts'
import { duration, megabytes } from '../model/units.ts'
import { familiesOf, type Family } from './families.ts'
import { counted } from './text.ts'

/** One thing that is not the same in two specs of an ENV. */
export interface Difference {
  /** What comes is `+`, what goes `-`, what becomes another `~`. */
  mark: '+' | '-' | '~'
  what: string
  before?: string
  after?: string
}

/** What it would take to get from one spec to the other, for people; nothing if both mean the same. */
export function differences(before: EnvSpec, after: EnvSpec): Difference[] {
  return [...ofFields(before, after), ...ofGroups(before, after), ...ofKicks(before, after), ...ofLists(before, after, ''), ...ofExceptions(before, after)]
}

/** A new ENV, as what comes with it; of other fields only what is not usual. */
export function contents(spec: EnvSpec, usual: EnvSpec): Difference[] {
  const said = ofFields({ ...usual, lifetimeSeconds: -1 }, spec).map(({ what, after = '' }): Difference => ({ mark: '+', what, after }))
  return [...said, ...ofGroups({ ...usual, groups: [] }, spec), ...ofLists(usual, spec, ''), ...ofExceptions({ ...usual, exceptions: {} }, spec)]
}

/** A difference on a line: `micro 2 VMs -> 4 VMs`. */
export const differenceText = ({ what, before, after }: Difference): string => [what, ...(before === undefined ? [] : [before]), ...(before !== undefined && after !== undefined ? ['->'] : []), ...(after === undefined ? [] : [after])].join(' ')

/** Each plain field and its value in words. */
const fields: readonly [what: string, text: (spec: EnvSpec) => string][] = [
  ['life', ({ lifetimeSeconds: seconds }) => (seconds === null ? 'without end' : duration(seconds))],
  ['limit of life times', ({ longLife }) => (longLife ? 'lifted' : 'holds')],
  ['at its end', ({ atEnd }) => atEnd],
  ['disks of VMs taken away', ({ keepDisks }) => (keepDisks ? 'stay' : 'go')],
  ['outgoing connections', ({ denyOutgoing }) => (denyOutgoing ? 'denied' : 'allowed')],
  ['VMs', ({ stopped }) => (stopped ? 'halted' : 'run')],
  ['deadline', ({ deadlineSeconds }) => duration(deadlineSeconds)],
  ['user data', ({ userData }) => (userData === undefined ? 'none' : `${userData.length} characters`)],
  ['host', ({ host }) => host ?? 'any'],
]

function ofFields(before: EnvSpec, after: EnvSpec): Difference[] {
  return fields.flatMap(([what, text]): Difference[] => (text(before) === text(after) ? [] : [{ mark: '~', what, before: text(before), after: text(after) }]))
}

const keyOf = ({ groups: [{ name, image }] }: Family) => `${name ?? ''} ${image}`

function ofGroups(before: EnvSpec, after: EnvSpec): Difference[] {
  // Counted without what either has taken out: that is told as such.
  const kicked = [...new Set([...before.kicked, ...after.kicked])]
  const olds = new Map(familiesOf({ ...before, kicked }).map((family) => [keyOf(family), family]))
  const found: Difference[] = []
  for (const family of familiesOf(after)) {
    const old = olds.get(keyOf(family))
    olds.delete(keyOf(family))
    found.push(...(old ? ofFamily(old, family) : [{ mark: '+', what: family.label, after: familyText(family) } as const]))
  }
  for (const family of olds.values()) found.push({ mark: '-', what: family.label, before: counted(family.living, 'VM') })
  return found
}

const facts: readonly [what: string, text: (family: Family) => string][] = [
  ['', ({ living }) => counted(living, 'VM')],
  ['flavor', ({ groups: [{ flavor }] }) => flavor ?? 'none'],
  ['cpus', ({ groups: [{ cpu }] }) => String(cpu)],
  ['memory', ({ groups: [{ memMb }] }) => megabytes(memMb)],
  ['disk', ({ groups: [{ diskMb }] }) => megabytes(diskMb)],
  ['ports', ({ groups: [{ ports }] }) => listText(ports)],
]

function ofFamily(before: Family, after: Family): Difference[] {
  return facts.flatMap(([what, text]): Difference[] => (text(before) === text(after) ? [] : [{ mark: '~', what: `${after.label} ${what}`.trimEnd(), before: text(before), after: text(after) }]))
}

/** `2 VMs, 1 cpu, 128 MB memory`: what is said of it; the rest is the server's to fill in. */
function familyText({ living, groups: [group] }: Family): string {
  const { flavor, cpu, memMb, diskMb, ports } = group as Partial<typeof group>
  const words = [
    counted(living, 'VM'),
    flavor === undefined ? '' : (flavorOf(flavor)?.name ?? flavor),
    cpu === undefined ? '' : counted(cpu, 'cpu'),
    memMb === undefined ? '' : `${megabytes(memMb)} memory`,
    diskMb === undefined ? '' : `${megabytes(diskMb)} disk`,
    ports === undefined || ports.length === 0 ? '' : `ports ${listText(ports)}`,
  ]
  return words.filter((word) => word !== '').join(', ')
}

const mostListed = 20

function ofKicks(before: EnvSpec, after: EnvSpec): Difference[] {
  const more = after.kicked.filter((index) => !before.kicked.includes(index))
  return more.length === 0 ? [] : [{ mark: '-', what: `VM ${more.slice(0, mostListed).join(', ')}${more.length > mostListed ? ` and ${more.length - mostListed} more` : ''}`, before: 'taken out' }]
}

type Lists = Pick<EnvSpec, 'deny' | 'peers' | 'sshKeys'>

/** A key by its name and its last characters: nobody reads the rest. */
const keyText = (key: string): string => {
  const [type = '', text = '', ...name] = key.split(' ')
  return `${type} …${text.slice(-12)}${name.length > 0 ? ` ${name.join(' ')}` : ''}`
}

function ofLists(before: Lists, after: Lists, lead: string): Difference[] {
  const of = (what: string, old: readonly string[], now: readonly string[]): Difference[] => [
    ...old.filter((text) => !now.includes(text)).map((text) => ({ mark: '-', what, before: text }) as const),
    ...now.filter((text) => !old.includes(text)).map((text) => ({ mark: '+', what, after: text }) as const),
  ]
  return [...of(`${lead}denied address`, before.deny, after.deny), ...of(`${lead}peer`, before.peers, after.peers), ...of(`${lead}ssh key`, before.sshKeys.map(keyText), after.sshKeys.map(keyText))]
}

function ofExceptions(before: EnvSpec, after: EnvSpec): Difference[] {
  const indices = [...new Set([...Object.keys(before.exceptions), ...Object.keys(after.exceptions)])].sort((one, other) => Number(one) - Number(other))
  return indices.flatMap((index) => {
    const [old, now] = [exceptionText(before.exceptions[index]), exceptionText(after.exceptions[index])]
    if (old === now) return []
    return [{ mark: '~', what: `VM ${index}`, before: old, after: now } as const]
  })
}

function exceptionText(exception: Exception | undefined): string {
  const { denyOutgoing, deny, ports } = exception ?? {}
  const words = [
    denyOutgoing === undefined ? '' : `outgoing connections ${denyOutgoing ? 'denied' : 'allowed'}`,
    deny === undefined ? '' : `denied addresses ${listText(deny)}`,
    ports === undefined ? '' : `ports ${listText(ports)}`,
  ].filter((word) => word !== '')
  return words.length === 0 ? 'as the others' : words.join(', ')
}

const listText = (list: readonly (string | number)[]) => (list.length === 0 ? 'none' : list.join(', '))
