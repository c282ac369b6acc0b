import type { Flag, Given } from './arguments.ts'
import { nearest } from './nearest.ts'

/**
 * Settings of a program: one schema says what there is, and a value comes from the first of flag, environment, file and default that
 * has it. Every value knows where it came from; a wrong value or an unknown key names its place. Pure: whoever calls reads the file and the
 * environment. Everything wrong is thrown as a plain Error of one line.
 */

/** How a value is written. */
export interface Form<T> {
  /** What is allowed, to complete `allowed is …`. */
  expects: string
  /** The value in the text of a flag or a variable; undefined if it is none. */
  fromText(text: string): T | undefined
  /** The value in JSON; undefined if it is none. */
  fromJson(value: unknown): T | undefined
  toText(value: T): string
  /** A flag without a value means the empty text: `--vnc`, `--vnc=no`. */
  optional?: true
}

export interface Setting<T = unknown> {
  form: Form<T>
  about: string
  default?: T
  /** The variable of the environment; an empty one counts as absent. */
  env?: string
  flag?: Pick<Flag, 'long' | 'short' | 'also' | 'value' | 'list' | 'hidden'>
  /** It may not stand in the file. */
  file?: false
  /** Never shown. */
  secret?: true
  /** A running program can take a new value over. */
  live?: true
}

/** Settings by their key in the file. */
export type Schema = Record<string, Setting>

export type Values<S extends Schema> = { [K in keyof S]: S[K] extends { form: Form<infer T> } ? (S[K] extends { default: unknown } ? T : T | undefined) : never }

export type Origin = { from: 'default' | 'nowhere' } | { from: 'file'; path: string } | { from: 'environment'; variable: string } | { from: 'flag'; flag: string }

export interface Settings<S extends Schema> {
  values: Values<S>
  origins: { [K in keyof S]: Origin }
}

export interface Sources {
  flags?: Given
  /** Variables that begin with `prefix` and look like a misspelt one of the schema are errors; other programs' are left alone. */
  env?: { variables: Record<string, string | undefined>; prefix: string }
  /** Without `text` there is no such file. */
  file?: { path: string; text?: string }
}

/** The settings that hold. */
export function settle<S extends Schema>(schema: S, sources: Sources): Settings<S> {
  const file = fileValues(schema, sources.file)
  checkVariables(schema, sources.env)
  const values: Record<string, unknown> = {}
  const origins: Record<string, Origin> = {}
  for (const [key, setting] of Object.entries(schema)) {
    const { value, origin } = fromFlag(setting, sources) ?? fromEnvironment(setting, sources) ?? fromFile(key, setting, file) ?? byDefault(setting)
    values[key] = value
    origins[key] = origin
  }
  return { values, origins } as Settings<S>
}

/** The flags of a program's settings, for its parser and its help. */
export function flagsOf(schema: Schema): Flag[] {
  return Object.values(schema).flatMap(({ flag, about, form, default: value }) => {
    if (flag === undefined) return []
    const more = { ...(form.optional ? { optional: form.optional } : {}), ...(value === undefined || form.toText(value) === '' ? {} : { default: form.toText(value) }) }
    return [{ value: 'VALUE', ...flag, about, ...more }]
  })
}

/** The keys whose values differ, as text: those that a running program can take over, and the others. */
export function changedKeys<S extends Schema>(schema: S, before: Settings<S>, after: Settings<S>): { live: (keyof S & string)[]; fixed: (keyof S & string)[] } {
  const text = (key: string, { values }: Settings<S>) => (values[key] === undefined ? undefined : schema[key]?.form.toText(values[key]))
  const changed = Object.keys(schema).filter((key) => text(key, before) !== text(key, after))
  return { live: changed.filter((key) => schema[key]?.live), fixed: changed.filter((key) => !schema[key]?.live) }
}

/** Every setting as text with its origin, secrets as `set` or nothing. */
export function settingRows<S extends Schema>(schema: S, { values, origins }: Settings<S>): { key: string; value: string; origin: string; about: string }[] {
  return Object.entries(schema).map(([key, { form, secret, about }]) => {
    const value = values[key]
    const shown = value === undefined ? '' : secret ? 'set' : form.toText(value)
    return { key, value: shown, origin: originText(origins[key] ?? { from: 'nowhere' }), about }
  })
}

export function originText(origin: Origin): string {
  switch (origin.from) {
    case 'file':
      return origin.path
    case 'environment':
      return origin.variable
    case 'flag':
      return `--${origin.flag}`
    case 'default':
      return 'default'
    case 'nowhere':
      return 'not set'
  }
}

interface Found {
  value: unknown
  origin: Origin
}

function fromFlag({ flag, form }: Setting, { flags }: Sources): Found | undefined {
  if (flag === undefined || !flags?.has(flag.long)) return undefined
  const text = flags.all(flag.long).join(',')
  return { value: form.fromText(text) ?? refuse(`--${flag.long}`, text, form), origin: { from: 'flag', flag: flag.long } }
}

function fromEnvironment({ env, form }: Setting, sources: Sources): Found | undefined {
  const text = env === undefined ? '' : (sources.env?.variables[env] ?? '')
  if (env === undefined || text === '') return undefined
  return { value: form.fromText(text) ?? refuse(env, text, form), origin: { from: 'environment', variable: env } }
}

function fromFile(key: string, { form }: Setting, file: FileValues): Found | undefined {
  if (!Object.hasOwn(file.values, key)) return undefined
  const value = file.values[key]
  return { value: form.fromJson(value) ?? refuse(`${key} in ${file.path}`, value, form), origin: { from: 'file', path: file.path } }
}

const byDefault = (setting: Setting): Found => (setting.default === undefined ? { value: undefined, origin: { from: 'nowhere' } } : { value: setting.default, origin: { from: 'default' } })

function refuse(place: string, value: unknown, form: Form<unknown>): never {
  const found = JSON.stringify(value) ?? typeof value
  throw new Error(`${place} is ${found.length > 60 ? `${found.slice(0, 60)}…` : found}, allowed is ${form.expects}`)
}

interface FileValues {
  path: string
  values: Record<string, unknown>
}

function fileValues(schema: Schema, file: Sources['file']): FileValues {
  const path = file?.path ?? ''
  if (file?.text === undefined) return { path, values: {} }
  const values = parsed(file.text, path)
  const known = Object.keys(schema).filter((key) => schema[key]?.file !== false)
  for (const key of Object.keys(values)) {
    if (known.includes(key)) continue
    const meant = nearest(key, known)
    throw new Error(`${path} has an unknown key ${JSON.stringify(key)}; ${meant === undefined ? `known are ${known.join(', ')}` : `did you mean ${JSON.stringify(meant)}?`}`)
  }
  return { path, values }
}

function parsed(text: string, path: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (fault) {
    // The parser quotes what it read, which may be a secret: its position alone is told.
    const at = /position \d+(?: \(line \d+ column \d+\))?/.exec(String(fault))?.[0]
    throw new Error(`${path} is not JSON${at === undefined ? '' : `: wrong at ${at}`}`)
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw new Error(`${path} is not a JSON object`)
}

function checkVariables(schema: Schema, env: Sources['env']): void {
  if (!env) return
  const known = Object.values(schema).flatMap((setting) => setting.env ?? [])
  const without = (name: string) => name.slice(env.prefix.length)
  for (const name of Object.keys(env.variables)) {
    if (!name.startsWith(env.prefix) || known.includes(name)) continue
    const meant = nearest(without(name), known.map(without))
    if (meant !== undefined) throw new Error(`${name} is no setting; did you mean ${env.prefix}${meant}?`)
  }
}
