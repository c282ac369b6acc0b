import type * as v from 'valibot'
import type { World } from '../base/world.ts'
import type { Call } from '../model/call.ts'
import type { Change, Cloud, ListOptions } from '../model/cloud.ts'
import type { EnvAsked } from '../model/env.ts'
import { asTtError, fail } from '../model/errors.ts'
import type { Kind } from '../model/kinds.ts'
import { Follow, GetFile, Nothing, PatchEnv, PutEnv, PutEnvelope, PutFile, PutToken, PutUser, RemoveEnv, Request, requestOf, Run, Under, Wait } from './bodies.ts'
import type { BodyBytes } from './body.ts'
import { fetchedFile, pushedFile } from './file-transfer.ts'
import { mergePatch } from './merge-patch.ts'
import type { Reply } from './reply.ts'
import { perKind, type RouteId } from './routes.ts'
import { logBytes } from './session-frames.ts'
import { needsInput } from './sessions.ts'
import { present, settledEnv } from './waiting.ts'

/** A request after its token, path, query and body were checked. */
export interface Asking<Q, B> {
  cloud: Cloud
  params: Record<string, string>
  query: Q
  body: B
  /** The body as it comes, of an endpoint that streams it. */
  bytes?: BodyBytes
  /** From `If-Match` or `If-None-Match`. */
  expect?: string
  /** `Accept: text/event-stream`. */
  wantsEvents: boolean
  /** Counters of the server, as text. */
  metrics: () => Promise<string>
  /** This interface as OpenAPI. */
  openapi: () => Promise<unknown>
  world: World
  call: Call
}

export interface Endpoint<Q = unknown, B = unknown> {
  query: v.GenericSchema<unknown, Q>
  body?: v.GenericSchema<unknown, B>
  /** The body is bytes, and is read while it comes. */
  streams?: true
  /** The body as documented, where it says more than what is checked at the door. */
  shown?: v.GenericSchema
  /** Heeds `If-Match` and `If-None-Match`. */
  conditional?: true
  answer(asking: Asking<Q, B>): Promise<Reply>
}

const endpoint = <Q, B = undefined>(one: Endpoint<Q, B>): Endpoint => one as unknown as Endpoint
const plain = (answer: (asking: Asking<unknown, undefined>) => Promise<Reply>) => endpoint({ query: Nothing, answer })

const listing = (kind: Kind) =>
  endpoint({
    query: Under,
    answer: ({ cloud, query, wantsEvents, call }) => (wantsEvents ? changesOf(cloud, kind, { ...query, call }) : listOf(cloud, kind, { ...query, call })),
  })

const keeping = (kind: 'user' | 'token') =>
  endpoint({
    query: Nothing,
    body: PutEnvelope,
    shown: kind === 'user' ? PutUser : PutToken,
    conditional: true,
    answer: async ({ cloud, params, body, expect, call }) => ({ type: 'resource', resource: await cloud.collection(kind).put(params.name ?? '', { ...body, spec: body.spec as never, expect }, call) }),
  })

const removing = (kind: 'user' | 'token' | 'task' | 'image') =>
  plain(async ({ cloud, params, call }) => {
    await cloud.collection(kind).remove(params.name ?? '', {}, call)
    return { type: 'nothing' }
  })

const getting = (kind: Kind) =>
  plain(async ({ cloud, params, call }) => ({ type: 'resource', resource: await cloud.collection(kind).get(params.name ?? '', call) }))

/** What each route does with a Cloud. */
export const endpoints: Record<RouteId, Endpoint> = {
  ...perKind('list', listing),
  ...perKind('get', getting),
  ping: plain(async () => ({ type: 'json', value: { ok: true } })),
  version: plain(async ({ cloud, call }) => {
    const { version, ...about } = await cloud.about(call)
    return { type: 'json', value: { version, ...about } }
  }),
  about: plain(async ({ cloud, call }) => ({ type: 'json', value: await cloud.about(call) })),
  metrics: plain(async ({ metrics }) => ({ type: 'text', contentType: 'text/plain; version=0.0.4', text: await metrics() })),
  openapi: plain(async ({ openapi }) => ({ type: 'json', value: await openapi() })),
  'get-env': endpoint({
    query: Wait,
    async answer({ cloud, params, query, world, call }) {
      const name = params.name ?? ''
      if (query.wait === undefined) return { type: 'resource', resource: await cloud.collection('env').get(name, call) }
      const resource = await settledEnv(cloud, name, { seconds: query.wait, world, call })
      return { type: 'resource', resource: resource ?? (await cloud.collection('env').get(name, call)) }
    },
  }),
  'put-env': endpoint({
    query: Wait,
    body: PutEnvelope,
    shown: PutEnv,
    conditional: true,
    answer: ({ body, ...asking }) => keptEnv({ ...asking, put: { ...body, spec: body.spec as unknown as EnvAsked } }),
  }),
  'patch-env': endpoint({
    query: Wait,
    body: PatchEnv,
    conditional: true,
    async answer({ body, ...asking }) {
      for (let tries = 1; ; tries++) {
        const seen = await asking.cloud.collection('env').get(asking.params.name ?? '', asking.call)
        const spec = mergePatch(seen.spec, body.spec) as EnvAsked
        try {
          return await keptEnv({ ...asking, expect: asking.expect ?? seen.revision, put: { spec, task: body.task } })
        } catch (thrown) {
          const lostRace = asTtError(thrown).code === 'conflict' && asking.expect === undefined
          if (!lostRace || tries >= 10) throw thrown
        }
      }
    },
  }),
  'remove-env': endpoint({
    query: RemoveEnv,
    async answer({ cloud, params, query, world, call }) {
      const name = params.name ?? ''
      await cloud.collection('env').remove(name, { task: query.task, keepDisks: query.keepDisks, uid: query.uid }, call)
      const resource = query.wait === undefined ? await present(cloud, name, call) : await settledEnv(cloud, name, { seconds: query.wait, world, call })
      return resource?.removing === undefined ? { type: 'nothing' } : { type: 'resource', resource, status: 202 }
    },
  }),
  'put-user': keeping('user'),
  'put-token': keeping('token'),
  'remove-user': removing('user'),
  'remove-token': removing('token'),
  'remove-task': removing('task'),
  'remove-image': removing('image'),
  'list-vms-of-env': plain(({ cloud, params, wantsEvents, call }) => {
    const options = { under: params.name ?? '', call }
    return wantsEvents ? changesOf(cloud, 'vm', options) : listOf(cloud, 'vm', options)
  }),
  'get-vm-of-env': plain(async ({ cloud, params, call }) => {
    return { type: 'resource', resource: await cloud.collection('vm').get(`${params.name}.${params.index}`, call) }
  }),
  logs: endpoint({
    query: Follow,
    async answer({ cloud, params, query, call }) {
      const vm = await cloud.collection('vm').get(`${params.name}.${params.index}`, call)
      const vms = { envs: [vm.spec.env], indices: [vm.spec.index] }
      return { type: 'bytes', pieces: await logBytes(await cloud.open({ type: 'logs', vms, follow: query.follow ?? false }, call), call.signal) }
    },
  }),
  'get-file': endpoint({
    query: GetFile,
    async answer({ cloud, params, query, call }) {
      const { vms } = await oneVm(cloud, params, call)
      const { entry, pieces } = await fetchedFile(await cloud.open({ type: 'get', vms, path: query.path }, call), call.signal)
      return { type: 'file', sizeBytes: entry.sizeBytes ?? 0, pieces }
    },
  }),
  'put-file': endpoint({
    query: PutFile,
    streams: true,
    async answer({ cloud, params, query, bytes, call }) {
      const { path, sha256, mode = '644', overwrite } = query
      if (sha256 === undefined) return fail('invalid', 'the sha256 of the body is not said, and without it nobody could tell whether it came whole', { remedy: 'add it to the path: `&sha256=$(sha256sum FILE | cut -d" " -f1)`' })
      if (bytes?.sizeBytes === undefined) return fail('invalid', 'the length of the body is not known beforehand', { remedy: 'send a file with Content-Length, as `curl -T FILE` does' })
      const { sizeBytes, pieces } = bytes
      const { vm, vms } = await oneVm(cloud, params, call)
      const session = await cloud.open({ type: 'push', vms, path, ...(overwrite ? { overwrite } : {}) }, call)
      await pushedFile(session, { entry: { path: '', type: 'file', mode: Number.parseInt(mode, 8), sizeBytes, sha256 }, bytes: pieces, signal: call.signal })
      return { type: 'json', value: { vm, path, sizeBytes, sha256, mode } }
    },
  }),
  run: endpoint({
    query: Nothing,
    body: Run,
    async answer({ cloud, params, body, call }) {
      const { shell, argv, script, args, stdin, prefixes, indices, ...context } = body
      const command = shell !== undefined ? { shell } : script !== undefined ? { script, ...(args ? { args } : {}) } : { argv: argv ?? [] }
      const vms = { envs: [params.name ?? ''], prefixes, indices }
      const session = await cloud.open({ type: 'exec', vms, command, ...context, stdin: stdin !== undefined }, call)
      return { type: 'frames', session, stdin: stdin === undefined ? undefined : bytesOf(stdin) }
    },
  }),
  session: endpoint({
    query: Nothing,
    body: Request,
    async answer({ cloud, body, call }) {
      const request = requestOf(body)
      if (needsInput(request)) fail('invalid', `a session of type ${request.type} with input needs a WebSocket`, { remedy: 'connect to /v1/session by WebSocket' })
      return { type: 'frames', session: await cloud.open(request, call) }
    },
  }),
  'join-session': plain(async () => fail('invalid', 'this path is for WebSockets', { subject: 'session', remedy: 'POST the request here, or connect by WebSocket' })),
}

/** The VM of a path, which has to be there. */
async function oneVm(cloud: Cloud, { name, index }: Record<string, string>, call: Call) {
  const { name: vm, spec } = await cloud.collection('vm').get(`${name}.${index}`, call)
  return { vm, vms: { envs: [spec.env], indices: [spec.index] } }
}

const listOf = async (cloud: Cloud, kind: Kind, { call, ...options }: ListOptions & { call: Call }): Promise<Reply> => ({
  type: 'list',
  listing: await cloud.collection(kind).list(options, call),
})

/** The first change is awaited, so that a refusal is an answer of its own and no event. */
async function changesOf(cloud: Cloud, kind: Kind, { call, ...options }: ListOptions & { call: Call }): Promise<Reply> {
  const iterator = cloud.collection(kind).watch(options, call)[Symbol.asyncIterator]()
  const first = await iterator.next()
  return { type: 'changes', changes: resumed(first, iterator) }
}

async function* resumed(first: IteratorResult<Change<Kind>>, iterator: AsyncIterator<Change<Kind>>): AsyncGenerator<Change<Kind>> {
  try {
    for (let step = first; !step.done; step = await iterator.next()) yield step.value
  } finally {
    await iterator.return?.()
  }
}

async function keptEnv(asking: Omit<Asking<{ wait?: number }, never>, 'body'> & { put: { spec: EnvAsked; uid?: string; owner?: string; task?: string } }): Promise<Reply> {
  const { cloud, params, query, expect, put, world, call } = asking
  const name = params.name ?? ''
  const kept = await cloud.collection('env').put(name, { ...put, expect }, call)
  if (query.wait === undefined) return { type: 'resource', resource: kept }
  const resource = await settledEnv(cloud, name, { seconds: query.wait, uid: kept.uid, world, call })
  return { type: 'resource', resource: resource ?? fail('not_found', `ENV ${name} was removed meanwhile`, { subject: `env/${name}` }) }
}

const bytesOf = (stdin: string | { base64: string }): Uint8Array => (typeof stdin === 'string' ? Buffer.from(stdin) : Buffer.from(stdin.base64, 'base64'))
