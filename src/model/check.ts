import * as v from 'valibot'
import { shown } from './names.ts'

/** Checks a value of unknown make against a schema: the value with its defaults, or one line that says which field is wrong and what is allowed. */
export function check<S extends v.GenericSchema>(schema: S, value: unknown): { value: v.InferOutput<S>; wrong?: undefined } | { value?: undefined; wrong: string } {
  const parsed = v.safeParse(schema, value)
  if (parsed.success) return { value: parsed.output }
  const [issue] = parsed.issues
  const path = v.getDotPath(issue) ?? 'it'
  const found = issue.input === undefined ? 'nothing' : shown(typeof issue.input === 'string' ? issue.input : (JSON.stringify(issue.input) ?? typeof issue.input))
  const custom = !/^Invalid \w+: /.test(issue.message)
  return { wrong: custom ? `${path} is ${found}, allowed is ${issue.message}` : `${path} is ${found}, ${expectation(issue)}` }
}

/** The library's own words where a schema has none of ours: an unknown field, or a value of the wrong make. */
function expectation(issue: v.BaseIssue<unknown>): string {
  if (issue.type === 'strict_object' && issue.expected === 'never') return 'there is no such field'
  return `expected is ${issue.expected ?? 'something else'}`
}
