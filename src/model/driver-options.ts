import type * as v from 'valibot'
import { check } from './check.ts'
import { fail } from './errors.ts'

/** The options of a driver as its schema says, defaults filled in; `invalid` names the first that is wrong and what is allowed. */
export function driverOptions<S extends v.GenericSchema>(driver: string, schema: S, options: unknown): v.InferOutput<S> {
  const { value, wrong } = check(schema, options)
  if (wrong !== undefined) fail('invalid', `options of ${driver}: ${wrong}`)
  return value
}
