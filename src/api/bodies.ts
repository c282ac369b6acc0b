import * as v from 'valibot'
import { EnvSpec } from '../model/env.ts'
import { archs, ways } from '../model/image.ts'
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
  script: v.optional(v.pipe(text(8_000_000), v.nonEmpty('a script that is not empty'), v.description('A program that is sent along; `#!` in its first line names what runs it, otherwise the shell does'))),
  args: v.optional(v.pipe(v.array(text(1_000_000)), v.maxLength(10_000), v.description('Arguments of the script'))),
}
const isOneCommand = ({ shell, argv, script, args }: { shell?: string; argv?: string[]; script?: string; args?: string[] }) =>
  [shell, argv, script].filter((one) => one !== undefined).length === 1 && (args === undefined || script !== undefined)
const oneCommand = 'one of shell, argv and script; args only with script'
const via = v.optional(v.pipe(v.picklist(ways), v.description('The way into the guests; by default the first of each image that answers')))
const atOnce = v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(10_000), v.description('So many VMs of a host at the same time')))
const characters = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(10_000))
const path = v.pipe(text(4096), v.regex(/^\//, 'an absolute path'))
const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, 'a sha256 in hexadecimal'))
const bytes = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER))
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
    via,
    atOnce,
    ...filters,
  }),
  v.check((value) => isOneCommand(value), oneCommand),
)

const ImageOrder = v.strictObject({
  name,
  sha256: v.optional(sha256),
  format: v.optional(v.picklist(['qcow2', 'raw', 'vmdk', 'vdi'])),
  url: v.optional(v.pipe(text(4096), v.regex(/^https?:\/\//, 'an address that begins with https:// or http://'))),
  sizeBytes: v.optional(bytes),
  memo: v.optional(text(1000)),
  arch: v.optional(v.picklist(archs)),
  ways: v.optional(v.array(v.picklist(ways))),
  features: v.optional(v.pipe(v.array(text(64)), v.maxLength(64))),
  cpu: v.optional(bytes),
  memMb: v.optional(bytes),
  diskMb: v.optional(bytes),
  ports: v.optional(v.pipe(v.array(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535))), v.maxLength(64))),
  replace: v.optional(v.boolean()),
})

const vms = v.strictObject({ envs: v.pipe(v.array(name), v.minLength(1, 'at least one ENV'), v.maxLength(1000)), ...filters })

export const Request = v.variant('type', [
  v.strictObject({
    type: v.literal('exec'),
    vms,
    command: v.pipe(v.strictObject(command), v.check((value) => isOneCommand(value), oneCommand)),
    ...context,
    stdin: v.optional(v.pipe(v.boolean(), v.description('Input will come; WebSocket only'))),
    tty: v.optional(v.pipe(v.strictObject({ columns: characters, rows: characters, term: v.optional(v.pipe(text(64), v.regex(/^[A-Za-z0-9._+-]+$/, 'the name of a terminal'))) }), v.description('A terminal of its own; WebSocket only'))),
    via,
    atOnce,
  }),
  v.strictObject({ type: v.literal('logs'), vms, follow: v.optional(v.boolean()) }),
  v.strictObject({ type: v.literal('console'), vms, scrollbackBytes: v.optional(bytes) }),
  v.strictObject({ type: v.literal('screen'), vms }),
  v.strictObject({ type: v.literal('push'), vms, path, overwrite: v.optional(v.boolean()), via, timeoutMs: context.timeoutMs, atOnce }),
  v.strictObject({ type: v.literal('get'), vms, path, have: v.optional(v.record(text(255), v.strictObject({ bytes, sha256 }))), via, timeoutMs: context.timeoutMs, atOnce }),
  v.strictObject({ type: v.literal('import'), image: ImageOrder, hosts: v.optional(v.pipe(v.array(name), v.maxLength(1000))) }),
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
const filePath = v.pipe(path, v.description('In the guest'))
const octal = v.pipe(v.string(), v.regex(/^0?[0-7]{3,4}$/, 'a mode such as 644'))
export const GetFile = v.strictObject({ path: filePath })
export const PutFile = v.strictObject({
  path: filePath,
  sha256: v.optional(v.pipe(sha256, v.description('Of the body, and never left out: only bytes that are right get the name'))),
  mode: v.optional(v.pipe(octal, v.description('Permission bits in octal, by default 644'))),
  overwrite: v.optional(v.pipe(v.picklist(['0', '1'], '0 or 1'), v.description('1: take the place of what is there'), v.transform((value) => value === '1'))),
})
export const Nothing = v.strictObject({})
