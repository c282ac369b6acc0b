import * as v from 'valibot'
import { fail } from '../model/errors.ts'
import { shown } from '../model/names.ts'

/** The value by its schema; `invalid` names the first thing that is wrong and the rule. */
export function checked<T>(schema: v.GenericSchema<unknown, T>, value: unknown, what: string): T {
  const parsed = v.safeParse(schema, value, { abortEarly: true })
  if (parsed.success) return parsed.output
  const [issue] = parsed.issues
  const place = v.getDotPath(issue)
  const where = place === null ? what : `${what}'s ${shown(place)}`
  if (value === undefined) return fail('invalid', `${what} is missing`)
  if (issue.received === 'undefined') return fail('invalid', `${where} is missing`)
  return fail('invalid', issue.expected === 'never' ? `${where} is not known` : `${where}: ${issue.message.replace(/^Invalid \w+: /, '').slice(0, 300)}`)
}
