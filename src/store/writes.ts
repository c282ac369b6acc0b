import { type ErrorCode, fail, type Problem } from '../model/errors.ts'
import type { Write } from './store.ts'

/** A write as it was when the caller made it: checked, as text for the disk and as a frozen value for readers. */
export interface Sealed {
  readonly key: string
  readonly expect?: 'absent' | number
  /** What becomes of the key: JSON, null when it is deleted, undefined when it is only checked. */
  readonly text?: string | null
  readonly value?: unknown
  readonly lease?: string
}

const valueLimitBytes = 1 << 20
const commitLimitBytes = 32 << 20
const depthLimit = 100
const keyShape = /^[\x20-\x7e]{1,512}$/

/** The writes of one commit, copied from the caller and held to the contract. */
export function seal(writes: readonly Write[]): Sealed[] {
  const sealed = writes.map(sealOne)
  if (sealed.length > 1 && new Set(sealed.map(({ key }) => key)).size < sealed.length) {
    const twice = sealed.find(({ key }, at) => sealed.findIndex((other) => other.key === key) < at)
    return fail('invalid', 'a commit writes each key once', { subject: twice?.key })
  }
  if (sizeOf(sealed) > commitLimitBytes) return fail('too_large', `a commit holds at most ${commitLimitBytes} bytes`)
  return sealed
}

/** What the writes take, roughly: characters of keys and values. */
export const sizeOf = (sealed: readonly Sealed[]): number => sealed.reduce((size, { key, text }) => size + key.length + (text?.length ?? 0), 0)

/** What speaks against a write when its key has the revision `present`: every store refuses with the same words. */
export function objection({ key, expect }: Pick<Sealed, 'key' | 'expect'>, present: number | undefined): Problem | undefined {
  if (expect === undefined || expect === (present ?? 'absent')) return undefined
  const how = present === undefined ? 'is not there any more' : expect === 'absent' ? 'is there already' : 'was changed meanwhile'
  return { code: 'conflict', message: `${key} ${how}`, subject: key }
}

/** A value as it is shared with readers: parsed, and frozen all the way down. */
export const shared = (text: string): unknown => freeze(JSON.parse(text), 0)

function sealOne({ key, value, expect, lease }: Write): Sealed {
  if (typeof key !== 'string' || !keyShape.test(key)) return fail('invalid', 'a key is 1 to 512 printable ASCII characters', { subject: String(key) })
  if (expect !== undefined && expect !== 'absent' && !Number.isSafeInteger(expect)) {
    return fail('invalid', `'${String(expect)}' is no revision to expect`, { subject: key })
  }
  if (value === undefined) return { key, expect }
  if (value === null) return { key, expect, text: null }
  const text = textOf(key, value)
  return { key, expect, text, value: readBack(key, text), lease }
}

function textOf(key: string, value: unknown): string {
  const text = refusing('invalid', key, () => JSON.stringify(value) as string | undefined)
  if (text === undefined) return fail('invalid', 'the value is not JSON', { subject: key })
  const large = text.length > valueLimitBytes || (text.length * 3 > valueLimitBytes && Buffer.byteLength(text) > valueLimitBytes)
  return large ? fail('too_large', `a value is at most ${valueLimitBytes} bytes of JSON`, { subject: key }) : text
}

/** Here and not when the commit is through, so that nothing can fail any more once it is kept. */
const readBack = (key: string, text: string): unknown => refusing('invalid', key, () => shared(text))

function refusing<T>(code: ErrorCode, key: string, make: () => T): T {
  try {
    return make()
  } catch (fault) {
    return fail(code, `the value is not JSON as the store takes it: ${fault instanceof Error ? fault.message : String(fault)}`, { subject: key, cause: fault })
  }
}

function freeze(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (depth === depthLimit) throw new Error(`it is more than ${depthLimit} deep`)
  if (Array.isArray(value)) for (const part of value) freeze(part, depth + 1)
  else for (const name in value) freeze((value as Record<string, unknown>)[name], depth + 1)
  return Object.freeze(value)
}
