import { toJsonSchema } from '@valibot/to-json-schema'
import type * as v from 'valibot'
import { errorCodes } from '../model/errors.ts'
import { type Kind, kinds } from '../model/kinds.ts'
import { AboutAnswer, ProblemAnswer, resourceAnswers } from './answers.ts'
import { type Endpoint, endpoints } from './endpoints.ts'
import { mediaTypes } from './reply.ts'
import { perKind, type Route, type RouteId, routes } from './routes.ts'

export type Json = Record<string, unknown>

/** The interface as an OpenAPI 3.1 document, made of the tables the server works by. */
export function openapi(): Json {
  const paths: Record<string, Json> = {}
  for (const route of routes) paths[plainPath(route.path)] = { ...paths[plainPath(route.path)], ...operation(route) }
  return {
    openapi: '3.1.0',
    info: {
      title: 'tt',
      version: '1',
      description: 'A private cloud: ENVs of VMs, what runs in them, and the hosts they run on. Every answer to a refused request is an Error, with a status by its code.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      headers: { ETag: { description: 'The revision, for If-Match', schema: { type: 'string' } } },
      responses: { Error: { description: `Refused; the code gives the status: ${codeList}`, content: { 'application/json': { schema: ref('Error') } } } },
      schemas: {
        Error: object({ error: ref('Problem') }),
        Problem: schemaOf(ProblemAnswer, 'output'),
        About: schemaOf(AboutAnswer, 'output'),
        ...Object.fromEntries(kinds.map((kind) => [nameOf(kind), schemaOf(resourceAnswers[kind], 'output')])),
        Frame: frame,
      },
    },
  }
}

/** A path as OpenAPI writes it, which knows no tails. */
export const plainPath = (path: string): string => path.replace('+}', '}')

function operation(route: (typeof routes)[number]): Json {
  const { id, method, summary, path, open }: Route = route
  const endpoint = endpoints[route.id]
  const parameters = [
    ...[...path.matchAll(/\{(\w+)\+?\}/g)].map(([, name]) => ({ name, in: 'path', required: true, schema: name === 'index' ? { type: 'integer', minimum: 0 } : { type: 'string' } })),
    ...queryParameters(endpoint),
    ...(endpoint.conditional ? conditions : []),
  ]
  const body = endpoint.shown ?? endpoint.body
  return {
    [method.toLowerCase()]: {
      operationId: id,
      summary,
      ...(open ? { security: [] } : {}),
      ...(parameters.length > 0 ? { parameters } : {}),
      ...(endpoint.streams ? { requestBody: { required: true, content: { [mediaTypes.file]: { schema: { type: 'string', contentMediaType: mediaTypes.file } } } } } : {}),
      ...(body ? { requestBody: { required: true, content: { [id === 'patch-env' ? 'application/merge-patch+json' : 'application/json']: { schema: schemaOf(body, 'input') } } } } : {}),
      responses: { ...answersOf(route.id), default: { $ref: '#/components/responses/Error' } },
    },
  }
}

const conditions = [
  { name: 'If-Match', in: 'header', description: 'Change only this revision: "17"', schema: { type: 'string' } },
  { name: 'If-None-Match', in: 'header', description: '*: create only', schema: { type: 'string', enum: ['*'] } },
]

function queryParameters({ query }: Endpoint): Json[] {
  const { properties = {} } = schemaOf(query, 'input') as { properties?: Record<string, Json> }
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({ name, in: 'query', ...(description === undefined ? {} : { description }), schema }))
}

const nameOf = (kind: Kind) => ({ env: 'Env', vm: 'Vm', host: 'Host', image: 'Image', task: 'Task', user: 'User', token: 'Token' })[kind]
const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` })
const object = (properties: Json) => ({ type: 'object', properties, required: Object.keys(properties) })
const answer = (description: string, content: Json, more: Json = {}) => ({ description, ...more, content })
const json = (schema: Json) => ({ [mediaTypes.json]: { schema } })
const text = (mediaType: string) => ({ [mediaType]: { schema: { type: 'string' } } })

const one = (kind: Kind) => answer('The resource', json(ref(nameOf(kind))), { headers: { ETag: { $ref: '#/components/headers/ETag' } } })
const many = (kind: Kind) =>
  answer('All of them and the members of the cloud that did not answer; or the events is, gone and synced, beginning with all there is', {
    ...json(object({ items: { type: 'array', items: ref(nameOf(kind)) }, missing: { type: 'array', items: ref('Problem') } })),
    ...text(mediaTypes.events),
  })
const frames = answer('One frame per line, as they come; a last line with an Error if the output broke', { [mediaTypes.frames]: { schema: ref('Frame') } })
const done: Json = { 204: { description: 'Done' } }
const about = answer('Who answers', json(ref('About')))

const answers: Record<RouteId, Json> = {
  ...perKind('list', (kind) => ({ 200: many(kind) })),
  ...perKind('get', (kind) => ({ 200: one(kind) })),
  ping: { 200: answer('It is', json(object({ ok: { const: true } }))) },
  version: { 200: about },
  about: { 200: about },
  metrics: { 200: answer('Samples', text('text/plain')) },
  openapi: { 200: answer('This document', json({ type: 'object' })) },
  'put-env': { 200: one('env') },
  'patch-env': { 200: one('env') },
  'remove-env': { 202: { ...one('env'), description: 'Being removed' }, 204: { description: 'Gone' } },
  'put-user': { 200: one('user') },
  'put-token': { 200: one('token') },
  'remove-user': done,
  'remove-token': done,
  'remove-task': done,
  'remove-image': done,
  'list-vms-of-env': { 200: many('vm') },
  'get-vm-of-env': { 200: one('vm') },
  logs: { 200: answer('The bytes', text(mediaTypes.bytes)) },
  'get-file': { 200: answer('The bytes; Content-Length says how many, and with fewer the file is not whole', { [mediaTypes.file]: { schema: { type: 'string', contentMediaType: mediaTypes.file } } }) },
  'put-file': { 200: answer('It is there', json(object({ vm: { type: 'string' }, path: { type: 'string' }, sizeBytes: { type: 'integer' }, sha256: { type: 'string' }, mode: { type: 'string', description: 'Permission bits in octal' } }))) },
  run: { 200: frames },
  session: { 200: frames },
  'join-session': { 101: { description: 'Send the request of POST /v1/session as the first, a text message' } },
}

const answersOf = (id: RouteId): Json => answers[id]

const codeList = Object.entries(errorCodes)
  .map(([code, { http }]) => `${code} ${http}`)
  .join(', ')

const vm = { type: 'string', description: 'demo.3' }
const typed = (type: string, properties: Json, optional: Json = {}) => ({
  ...object({ type: { const: type }, ...properties }),
  properties: { type: { const: type }, ...properties, ...optional },
})
const data = (type: string) => ({ ...typed(type, { vm }, { text: { type: 'string', description: 'If the piece is UTF-8' }, base64: { type: 'string', contentEncoding: 'base64', description: 'Otherwise' } }), oneOf: [{ required: ['text'] }, { required: ['base64'] }] })
const string = { type: 'string' }

const frame: Json = {
  description: 'begin comes once per VM and first; exit or problem ends a VM',
  oneOf: [
    typed('begin', { vm, image: string }, { address: string }),
    data('stdout'),
    data('stderr'),
    typed('exit', { vm }, { code: { type: 'integer' }, signal: { type: 'string', description: 'What killed it, instead of a code' } }),
    typed('problem', { problem: ref('Problem') }, { vm }),
    typed('entry', { vm, entry: { ...object({ path: string, type: { enum: ['file', 'directory', 'link'] }, mode: { type: 'integer', description: 'Permission bits as a number: 420 is 644 in octal' } }), description: 'of a get; also sizeBytes, target' } }, { offset: { type: 'integer' } }),
    typed('entry-end', { vm, sha256: string }),
    typed('wants', { offset: { type: 'integer' } }, { vm, host: string }),
    typed('progress', { what: string, doneBytes: { type: 'integer' } }, { vm, host: string, totalBytes: { type: 'integer' } }),
    typed('note', { text: string }, { vm: string, host: string }),
    typed('leak', { host: string, leak: object({ kind: string, subject: string, why: string }) }, { fixed: { type: 'boolean' } }),
    typed('finding', { host: string, finding: { ...object({ check: string, state: { enum: ['good', 'poor', 'bad'] }, message: string }), description: 'also remedy and fixed' } }),
    typed('event', { event: { ...object({ time: string, subject: string, event: string, message: string }), description: 'also owner' } }),
    typed('audit', { entry: { ...object({ time: string, user: string, action: string, subject: string, result: string }), description: 'also token and request' } }),
    typed('reloaded', { host: string, changed: { type: 'array', items: string }, needRestart: { type: 'array', items: string } }),
    typed('built', { host: string, image: string }),
  ],
}

function schemaOf(schema: v.GenericSchema, typeMode: 'input' | 'output'): Json {
  const { $schema: _, ...converted } = toJsonSchema(schema as never, { target: 'draft-2020-12', errorMode: 'ignore', typeMode }) as Json
  return converted
}
