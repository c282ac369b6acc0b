import * as v from 'valibot'
import { shown } from './names.ts'

/** Checks a value of unknown make against a schema: the value with its defaults, or one line that says which field is wrong and what is allowed. */
export function check<S extends v.GenericSchema>(schema: S, value: unknown): { value: v.InferOutput<S>; wrong?: undefined } | { value?: undefined; wrong: string } {
  const parsed = v.safeParse(schema, value)
  if (parsed.success) return { value: parsed.output }
  const [issue] = parsed.issues
  const path = v.getDotPath(issue) ?? 'it'
  if (issue.expected === 'never') return { wrong: `${path} is none of its fields` }
  if (issue.received === 'undefined') return { wrong: `${path} is missing` }
  const found = shown(typeof issue.input === 'string' ? issue.input : (JSON.stringify(issue.input) ?? typeof issue.input))
  const inOurWords = !/^Invalid \w+: /.test(issue.message)
  return { wrong: `${path} is ${found}, allowed is ${inOurWords ? issue.message : (issue.expected ?? 'something else')}` }
}
