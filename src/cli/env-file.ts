import { nearest } from '../base/nearest.ts'
import { check } from '../model/check.ts'
import { type EnvAsked, EnvSpec, Group } from '../model/env.ts'
import { asTtError, fail, reasonOf } from '../model/errors.ts'
import { checkEnvName } from '../model/names.ts'

/** An ENV as a file describes it: of its spec, what the file says and nothing more. */
export interface Declared {
  name: string
  spec: Partial<EnvSpec>
  /** Where it stands, for messages: `env.yaml:3`. */
  place: string
}

/** Nobody describes ENVs by more. */
const longestText = 4 << 20

/** The ENVs in the text of a file, YAML or JSON: one document, several of them, or lists. What is wrong is named by file, line and field. */
export async function declaredIn(text: string, path: string): Promise<Declared[]> {
  if (text.length > longestText) fail('too_large', `${path} has ${text.length} characters, ${longestText} are allowed`)
  const { isMap, isSeq, LineCounter, parseAllDocuments } = await import('yaml')
  const lines = new LineCounter()
  const documents = readable(path, () => parseAllDocuments(text, { lineCounter: lines, version: '1.2', uniqueKeys: true, stringKeys: true }))
  const at = (offset: number) => `${path}:${lines.linePos(offset).line}`
  const found: Declared[] = []
  for (const document of Array.isArray(documents) ? documents : []) {
    const [fault] = document.errors
    if (fault) fail('invalid', `${at(fault.pos[0])}: ${fault.message.split('\n')[0]?.replace(/ at line \d+, column \d+:?$/, '')}`)
    const { contents } = document
    if (contents === null) continue
    for (const node of isSeq(contents) ? contents.items : [contents]) {
      const start = rangeOf(node)?.[0] ?? 0
      if (!isMap(node)) fail('invalid', `${at(start)}: an ENV is a map of its name and its fields`, { remedy: 'see `tt env export --help`' })
      const value = readable(at(start), (): unknown => node.toJS(document))
      const wrongAt = (fields: string, message: string): never => fail('invalid', `${at(offsetOf(node, fields.split('.')) ?? start)}: ${message}`)
      found.push({ ...declared(value as Record<string, unknown>, wrongAt), place: at(start) })
    }
  }
  if (found.length === 0) fail('invalid', `${path} describes no ENV`)
  const twice = found.find(({ name }, index) => found.findIndex((other) => other.name === name) < index)
  if (twice) fail('invalid', `${twice.place}: ENV ${twice.name} is described twice`)
  return found
}

/** What the parser makes of it. Aliases that grow without end, and nesting deeper than the stack, are faults of the file that it throws. */
function readable<T>(place: string, read: () => T): T {
  try {
    return read()
  } catch (thrown) {
    return fail('invalid', `${place}: it cannot be read: ${reasonOf(thrown)}`)
  }
}

function declared({ name, ...fields }: Record<string, unknown>, wrongAt: (fields: string, message: string) => never): Omit<Declared, 'place'> {
  if (typeof name !== 'string') return wrongAt('name', name === undefined ? 'the name is missing' : 'the name is no text')
  try {
    checkEnvName(name)
  } catch (thrown) {
    wrongAt('name', asTtError(thrown).message)
  }
  // An ENV that is there may be described without its groups: they stay as they are.
  const { value, wrong } = check(EnvSpec, 'groups' in fields ? fields : { ...fields, groups: [{ prefix: 'any' }] })
  if (!value) return wrongAt(wrong.split(' is ')[0] ?? '', withHint(wrong))
  const nameless = value.groups.findIndex((group) => (group.image === undefined) === (group.prefix === undefined))
  if (nameless >= 0) wrongAt(`groups.${nameless}`, `groups.${nameless} needs an image or a prefix, not both`)
  return { name, spec: Object.fromEntries(Object.keys(fields).map((field) => [field, value[field as keyof EnvSpec]])) as Partial<EnvSpec> }
}

/** The sentence, and for a field that is none the one that may be meant. */
function withHint(wrong: string): string {
  const [, lead = '', field] = /^(.*?)([^.\s]+) is none of its fields$/.exec(wrong) ?? []
  if (field === undefined) return wrong
  const known = lead === '' ? ['name', ...Object.keys(EnvSpec.entries)] : Object.keys(Group.entries)
  const meant = nearest(field, known)
  return meant === undefined ? `${wrong}; they are ${known.join(', ')}` : `${wrong}; did you mean ${meant}?`
}

interface Node {
  range?: readonly [number, ...number[]] | null
  items?: readonly unknown[]
}

const rangeOf = (node: unknown) => (node as Node | null)?.range

/** Where the field stands that a path of names and numbers leads to, or the last on the way that is there. */
function offsetOf(node: unknown, path: readonly string[]): number | undefined {
  let [found, here] = [rangeOf(node)?.[0], node]
  for (const step of path) {
    const items = (here as Node | null)?.items ?? []
    const pair = items.find((item) => typeof item === 'object' && item !== null && 'key' in item && String((item.key as { value?: unknown } | null)?.value) === step) as { key: unknown; value: unknown } | undefined
    const next = pair ? pair.value : items[Number(step)]
    if (next === undefined) return found
    found = rangeOf(pair?.key)?.[0] ?? rangeOf(next)?.[0] ?? found
    here = next
  }
  return found
}

/** An ENV as such a file describes it: an apply of it changes nothing. */
export function describedEnv(name: string, spec: EnvSpec): Record<string, unknown> {
  const usual = usualSpec()
  const fields = Object.entries(spec).filter(([field, value]) => field !== 'groups' && (field === 'lifetimeSeconds' || JSON.stringify(value) !== JSON.stringify(usual[field as keyof EnvSpec])))
  const placed = !areInOrder(spec.groups)
  const groups = spec.groups.map((group) => {
    const { name: own, image, first = 0, count, flavor, cpu, memMb, diskMb, ports } = group
    return { ...(own === undefined ? {} : { name: own }), image, ...(placed ? { first } : {}), count, ...(flavor === undefined ? {} : { flavor }), cpu, memMb, diskMb, ports }
  })
  return { name, groups, ...Object.fromEntries(fields) }
}

/** Whether the groups would be numbered so if none said where it begins; groups of one name have to say it. */
function areInOrder(groups: readonly Group[]): boolean {
  let next = 0
  return groups.every(({ image, name, first = 0, count }) => {
    const follows = first === next && groups.filter((other) => other.image === image && other.name === name).length === 1
    next = first + count
    return follows
  })
}

/** What an ENV is of which nothing is said. */
export function usualSpec(): EnvSpec {
  const asked: EnvAsked = { groups: [{ prefix: 'any' }] }
  const { value } = check(EnvSpec, asked)
  return value ?? fail('internal', 'an ENV of which nothing is said is none')
}
