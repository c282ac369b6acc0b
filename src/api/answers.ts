import * as v from 'valibot'
import type { About } from '../model/cloud.ts'
import { EnvSpec, type EnvStatus } from '../model/env.ts'
import { errorCodes, type ErrorCode, type Problem } from '../model/errors.ts'
import type { Demand } from '../model/expand.ts'
import type { HostSpec, HostStatus } from '../model/host.ts'
import { archs, type ImageSpec, type ImageStatus, ways } from '../model/image.ts'
import { type Kind, kinds, type Kinds } from '../model/kinds.ts'
import { type TaskSpec, type TaskStatus, taskStates, taskVerbs } from '../model/task.ts'
import { roles, TokenSpec, type TokenStatus, UserSpec, type UserStatus } from '../model/user.ts'
import type { VmSpec, VmStatus } from '../model/vm.ts'

/** What the server answers, for the documentation: every schema is held to the type it describes by the compiler. */

/** A schema of exactly this type: neither a field too few nor one too many. */
const exactly =
  <T>() =>
  <S extends v.GenericSchema<T, T>>(schema: S & (T extends v.InferOutput<S> ? unknown : never)): S =>
    schema

const code = v.picklist(Object.keys(errorCodes) as ErrorCode[])
const time = v.pipe(v.string(), v.isoTimestamp())
const portMap = v.record(v.string(), v.number())

export const ProblemAnswer = exactly<Problem>()(
  v.object({
    code,
    message: v.pipe(v.string(), v.description('What went wrong and why, one line')),
    subject: v.optional(v.pipe(v.string(), v.description('What it is about: env/demo, vm/demo.3'))),
    remedy: v.optional(v.pipe(v.string(), v.description('What the reader can do about it'))),
    cause: v.optional(v.string()),
  }),
)

export const AboutAnswer = exactly<About>()(v.object({ cloud: v.string(), version: v.string(), user: v.string(), role: v.picklist(roles) }))

const demand = exactly<Demand>()(v.object({ cpu: v.number(), memMb: v.number(), diskMb: v.number(), vms: v.number() }))

const envStatus = exactly<EnvStatus>()(
  v.object({
    phase: v.picklist(['creating', 'ready', 'failed', 'removing']),
    vms: v.number(),
    ready: v.number(),
    lost: v.optional(v.pipe(v.number(), v.description('Of these, guests that have answered and are silent now'))),
    expires: v.optional(time),
    since: time,
    task: v.optional(v.pipe(v.string(), v.description('Its last task'))),
    problems: v.optional(v.array(v.object({ vm: v.optional(v.string()), problem: ProblemAnswer }))),
    more: v.optional(v.number()),
  }),
)

const vmSpec = exactly<VmSpec>()(
  v.object({
    id: v.string(),
    env: v.string(),
    index: v.number(),
    image: v.string(),
    digest: v.string(),
    engine: v.string(),
    cpu: v.number(),
    memMb: v.number(),
    diskMb: v.number(),
    ports: v.array(v.number()),
    denyOutgoing: v.boolean(),
    deny: v.array(v.string()),
    stopped: v.boolean(),
    starts: v.number(),
    sshKeys: v.array(v.string()),
    userData: v.optional(v.string()),
    host: v.optional(v.string()),
  }),
)

const vmStatus = exactly<VmStatus>()(
  v.object({
    state: v.picklist(['pending', 'starting', 'booting', 'ready', 'stopped', 'failed', 'lost', 'removing']),
    host: v.optional(v.string()),
    address: v.optional(v.pipe(v.string(), v.description('Where its public ports are reached'))),
    ip: v.optional(v.string()),
    mac: v.optional(v.string()),
    ports: v.pipe(portMap, v.description('Public port for each inner port')),
    pid: v.optional(v.number()),
    since: v.optional(time),
    guest: v.optional(v.object({ state: v.picklist(['booting', 'ready', 'lost', 'none']), way: v.optional(v.picklist(ways)), load: v.optional(v.number()), memUsedMb: v.optional(v.number()) })),
    problem: v.optional(ProblemAnswer),
  }),
)

const hostSpec = exactly<HostSpec>()(v.record(v.string(), v.never()))

const hostStatus = exactly<HostStatus>()(
  v.object({
    online: v.boolean(),
    address: v.string(),
    version: v.string(),
    started: time,
    total: demand,
    used: demand,
    engines: v.array(v.object({ name: v.string(), version: v.string(), features: v.record(v.string(), v.union([v.boolean(), v.string()])) })),
    unusable: v.array(v.object({ kind: v.picklist(['engine', 'volume', 'network', 'channel', 'blob']), name: v.string(), why: v.string() })),
    network: v.string(),
    networkFeatures: v.optional(v.record(v.string(), v.boolean())),
    volume: v.string(),
  }),
)

const imageSpec = exactly<ImageSpec>()(
  v.object({
    engines: v.array(v.string()),
    memo: v.optional(v.string()),
    digest: v.string(),
    arch: v.picklist(archs),
    ways: v.pipe(v.array(v.picklist(ways)), v.description('Ways into its guests, the preferred first')),
    features: v.array(v.string()),
    owner: v.optional(v.string()),
    cpu: v.number(),
    memMb: v.number(),
    diskMb: v.number(),
    ports: v.array(v.number()),
    sizeBytes: v.number(),
    buildable: v.optional(v.boolean()),
    removable: v.optional(v.boolean()),
  }),
)

const imageStatus = exactly<ImageStatus>()(v.object({ hosts: v.array(v.string()) }))

const userStatus = exactly<UserStatus>()(v.object({ envs: v.number(), used: demand }))
const tokenStatus = exactly<TokenStatus>()(v.object({ expired: v.boolean() }))
const taskSpec = exactly<TaskSpec>()(v.object({ verb: v.picklist(taskVerbs), subject: v.string(), limitSeconds: v.number() }))
const taskStatus = exactly<TaskStatus>()(
  v.object({ state: v.picklist(taskStates), done: v.number(), total: v.number(), started: v.optional(time), ended: v.optional(time), problem: v.optional(ProblemAnswer) }),
)

const states: { [K in Kind]: { spec: v.GenericSchema<unknown, Kinds[K]['spec']>; status: v.GenericSchema<unknown, Kinds[K]['status']> } } = {
  env: { spec: EnvSpec, status: envStatus },
  vm: { spec: vmSpec, status: vmStatus },
  host: { spec: hostSpec, status: hostStatus },
  image: { spec: imageSpec, status: imageStatus },
  task: { spec: taskSpec, status: taskStatus },
  user: { spec: UserSpec, status: userStatus },
  token: { spec: TokenSpec, status: tokenStatus },
}

/** A resource of each kind. */
export const resourceAnswers = Object.fromEntries(kinds.map((kind) => [kind, resourceAnswer(kind) as v.GenericSchema])) as Record<Kind, v.GenericSchema>

function resourceAnswer(kind: Kind) {
  const { spec, status } = states[kind]
  return v.object({
    kind: v.literal(kind),
    name: v.string(),
    uid: v.pipe(v.string(), v.description('Given at creation, never used again')),
    revision: v.pipe(v.string(), v.description('Changes when the spec does, and only then; also the ETag')),
    owner: v.string(),
    created: time,
    removing: v.optional(v.pipe(time, v.description('When its removal was asked for'))),
    reduced: v.optional(v.pipe(v.literal(true), v.description("Another's: name, owner, created, expires and vms are told, the rest says nothing"))),
    spec,
    status: v.optional(status),
  })
}
