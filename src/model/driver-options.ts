import * as v from 'valibot'
import { fail } from './errors.ts'
import { shown } from './names.ts'

/** The options of a driver as its schema says, defaults filled in; `invalid` names the first that is wrong and what is allowed. */
export function driverOptions<S extends v.GenericSchema>(driver: string, schema: S, options: unknown): v.InferOutput<S> {
  const parsed = v.safeParse(schema, options)
  if (parsed.success) return parsed.output
  const [issue] = parsed.issues
  const path = v.getDotPath(issue)
  const rule = issue.message.replace(/^Invalid \w+: /, '')
  fail('invalid', path === null ? `the options of ${driver}: ${rule}` : `option ${path} of ${driver} is ${shown(JSON.stringify(issue.input) ?? 'nothing')}, ${rule}`)
}
