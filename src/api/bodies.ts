import * as v from 'valibot'
import { EnvSpec } from '../model/env.ts'
import type { SessionRequest } from '../model/session.ts'
import { TokenSpec, UserSpec } from '../model/user.ts'

/** What callers send, checked at the door. Bounds here keep one request small; what a cloud allows is the cloud's to say. */

const text = (max: number) => v.pipe(v.string(), v.maxLength(max, `at most ${max} characters`), v.check((value) => !value.includes('\0'), 'text without NUL'))
const name = v.pipe(text(255), v.nonEmpty('a name'))
const index = v.pipe(v.number(), v.integer('a whole number'), v.minValue(0), v.maxValue(1_000_000))

const putFields = {
  uid: v.optional(v.pipe(v.string(), v.regex(/^[a-z0-9]{4,32}$/, '4 to 32 of a-z and 0-9'), v.description('Makes a creation repeatable: a put that meets its own uid is a repeat'))),
  owner: v.optional(v.pipe(name, v.description('Whose it is to be; only an admin may name another'))),
}
const task = v.optional(v.pipe(v.string(), v.regex(/^[a-z0-9]{4,32}$/, '4 to 32 of a-z and 0-9'), v.description('Makes a change repeatable: with the id of a task that is there it is its repeat')))

/** As documented. */
export const PutEnv = v.strictObject({ spec: EnvSpec, ...putFields, task })
export const PutUser = v.strictObject({ spec: UserSpec, ...putFields })
export const PutToken = v.strictObject({ spec: TokenSpec, ...putFields })
/** As checked at the door: the spec is the cloud's to check, so that its words are the same near and far. */
export const PutEnvelope = v.strictObject({ spec: v.record(v.string(), v.unknown(), 'an object'), ...putFields, task })

export const PatchEnv = v.strictObject({
  task,
  spec: v.pipe(v.record(v.string(), v.unknown(), 'an object'), v.description('The members of the spec to change; null takes one out')),
})

const command = {
  shell: v.optional(v.pipe(text(1_000_000), v.nonEmpty('a command that is not empty'), v.description('Text for the shell of the guest'))),
  argv: v.optional(v.pipe(v.array(text(1_000_000)), v.minLength(1, 'a program'), v.maxLength(10_000), v.description('A program and its arguments, as they are'))),
}
const isOneCommand = (value: { shell?: string; argv?: string[] }) => (value.shell === undefined) !== (value.argv === undefined)
const context = {
  env: v.optional(
    v.pipe(
      v.record(v.pipe(text(10_000), v.regex(/^[^=]+$/, 'a name without "="')), text(1_000_000)),
      v.description('Environment of the command, added to the guest\'s'),
    ),
  ),
  cwd: v.optional(v.pipe(text(4096), v.description('Directory it starts in'))),
  timeoutMs: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(2_147_483_647), v.description('Per VM, from its start; then it is killed'))),
}
const filters = {
  prefixes: v.optional(v.pipe(v.array(name), v.maxLength(1000), v.description('Only VMs whose image begins with one of these'))),
  indices: v.optional(v.pipe(v.array(index), v.maxLength(100_000), v.description('Only VMs with one of these indices'))),
}

export const Run = v.pipe(
  v.strictObject({
    ...command,
    ...context,
    stdin: v.optional(v.pipe(v.union([v.string(), v.strictObject({ base64: v.pipe(v.string(), v.base64('base64')) })], 'a text or {"base64": …}'), v.description('Given to every VM; otherwise the input is empty'))),
    ...filters,
  }),
  v.check((value) => isOneCommand(value), 'either shell or argv'),
)

const vms = v.strictObject({ envs: v.pipe(v.array(name), v.minLength(1, 'at least one ENV'), v.maxLength(1000)), ...filters })

export const Request = v.variant('type', [
  v.strictObject({
    type: v.literal('exec'),
    vms,
    command: v.pipe(v.strictObject(command), v.check((value) => isOneCommand(value), 'either shell or argv')),
    ...context,
    stdin: v.optional(v.pipe(v.boolean(), v.description('Input will come; WebSocket only'))),
  }),
  v.strictObject({ type: v.literal('logs'), vms, follow: v.optional(v.boolean()) }),
  v.strictObject({ type: v.literal('console'), vms }),
  v.strictObject({ type: v.literal('ping'), vms, timeoutMs: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(600_000)) }),
  v.strictObject({ type: v.literal('events'), follow: v.optional(v.boolean()), envs: v.optional(v.pipe(v.array(name), v.maxLength(1000))) }),
  v.strictObject({ type: v.literal('audit'), follow: v.optional(v.boolean()), last: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(100_000))) }),
  v.strictObject({ type: v.literal('reload') }),
  v.strictObject({ type: v.literal('doctor'), fix: v.optional(v.boolean()) }),
  v.strictObject({ type: v.literal('build'), image: name }),
])

/** A request as checked: the compiler sees that no kind of session is forgotten, and none invented. */
export const requestOf = (body: v.InferOutput<typeof Request>): SessionRequest & { type: RequestType } => body as SessionRequest
type RequestType = SessionRequest['type'] extends v.InferOutput<typeof Request>['type'] ? SessionRequest['type'] : never

const seconds = v.pipe(
  v.string(),
  v.description('Answer when the ENV has settled or is gone, or after so many seconds, at most 3600'),
  v.regex(/^\d{1,4}$/, 'whole seconds'),
  v.transform(Number),
  v.maxValue(3600, 'at most 3600 s'),
)
const flag = v.pipe(v.picklist(['0', '1'], '0 or 1'), v.description('1: go on with what comes'), v.transform((value) => value === '1'))
export const Wait = v.strictObject({ wait: v.optional(seconds) })
export const Under = v.strictObject({
  under: v.optional(v.pipe(name, v.description('Only what belongs to this'))),
  all: v.optional(v.pipe(v.picklist(['0', '1'], '0 or 1'), v.description("1: also what is others', as far as the caller may see it"), v.transform((value) => value === '1'))),
})
const keepDisks = v.optional(v.pipe(v.picklist(['0', '1'], '0 or 1'), v.description('1: the disks of its VMs stay, as images of its owner'), v.transform((value) => value === '1')))
const sameUid = v.optional(v.pipe(text(32), v.description('Only the ENV with this uid, and no other that has the name by now')))
export const RemoveEnv = v.strictObject({ wait: v.optional(seconds), task, keepDisks, uid: sameUid })
export const Follow = v.strictObject({ follow: v.optional(flag) })
export const Nothing = v.strictObject({})
