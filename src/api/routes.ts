import { type Kind, kinds } from '../model/kinds.ts'

export type Method = 'GET' | 'PUT' | 'PATCH' | 'POST' | 'DELETE'

/** One thing the API answers. Server, client and documentation read the same table, so they cannot drift. */
export interface Route {
  id: string
  method: Method
  /** `{name}` is one percent-encoded segment; `{name+}` is all that follows, slashes included. */
  path: string
  summary: string
  /** The kind its `{name}` is of, for the subject of errors. */
  kind?: Kind
  /** Answered without a token. */
  open?: true
}

const words: Record<Kind, { one: string; many: string }> = {
  env: { one: 'An ENV', many: 'All ENVs the caller may see' },
  vm: { one: 'A VM by its name, such as demo.3', many: 'All VMs the caller may see' },
  host: { one: 'A host', many: 'All hosts' },
  image: { one: 'An image; its name may contain slashes', many: 'All images' },
  user: { one: 'A user', many: 'All users the caller may see' },
  token: { one: 'A token by its name, such as ann/laptop', many: 'All tokens the caller may see' },
  task: { one: 'A task by its id', many: 'All tasks the caller may see' },
}

const collectionPath = <K extends Kind>(kind: K) => `/v1/${kind}` as const
const onePath = (kind: Kind) => (kind === 'image' || kind === 'token' ? `${collectionPath(kind)}/{name+}` as const : `${collectionPath(kind)}/{name}`)

const ofKinds = kinds.flatMap((kind) => [
  { id: `list-${kind}`, method: 'GET', path: collectionPath(kind), summary: `${words[kind].many}; with Accept: text/event-stream, every change as it happens`, kind } as const,
  { id: `get-${kind}`, method: 'GET', path: onePath(kind), summary: words[kind].one, kind } as const,
])

export const routes = [
  { id: 'ping', method: 'GET', path: '/ping', summary: 'Whether a server is there; the only answer without a token', open: true },
  { id: 'version', method: 'GET', path: '/version', summary: 'The version of the server' },
  { id: 'metrics', method: 'GET', path: '/metrics', summary: 'Counters of the server as Prometheus text' },
  { id: 'about', method: 'GET', path: '/v1', summary: 'Who answers, and as whom it knows the caller' },
  { id: 'openapi', method: 'GET', path: '/v1/openapi.json', summary: 'This interface as OpenAPI 3.1' },
  ...ofKinds,
  { id: 'put-env', method: 'PUT', path: '/v1/env/{name}', summary: 'Create an ENV or change it', kind: 'env' },
  { id: 'patch-env', method: 'PATCH', path: '/v1/env/{name}', summary: 'Change parts of an ENV by a JSON merge patch (RFC 7396)', kind: 'env' },
  { id: 'remove-env', method: 'DELETE', path: '/v1/env/{name}', summary: 'Remove an ENV and everything in it', kind: 'env' },
  { id: 'put-user', method: 'PUT', path: '/v1/user/{name}', summary: 'Create a user or change one', kind: 'user' },
  { id: 'remove-user', method: 'DELETE', path: '/v1/user/{name}', summary: 'Remove a user who has no ENVs, and all their tokens', kind: 'user' },
  { id: 'put-token', method: 'PUT', path: '/v1/token/{name+}', summary: 'Create a token: the caller keeps the secret and sends its sha256', kind: 'token' },
  { id: 'remove-token', method: 'DELETE', path: '/v1/token/{name+}', summary: 'Revoke a token', kind: 'token' },
  { id: 'remove-task', method: 'DELETE', path: '/v1/task/{name}', summary: 'Cancel a task', kind: 'task' },
  { id: 'remove-image', method: 'DELETE', path: '/v1/image/{name+}', summary: 'Delete an image that was kept from a disk', kind: 'image' },
  { id: 'list-vms-of-env', method: 'GET', path: '/v1/env/{name}/vm', summary: 'The VMs of an ENV; with Accept: text/event-stream, every change as it happens', kind: 'env' },
  { id: 'get-vm-of-env', method: 'GET', path: '/v1/env/{name}/vm/{index}', summary: 'A VM of an ENV by its index', kind: 'env' },
  { id: 'logs', method: 'GET', path: '/v1/env/{name}/vm/{index}/logs', summary: 'What a VM wrote to its serial line, as it is', kind: 'env' },
  { id: 'get-file', method: 'GET', path: '/v1/env/{name}/vm/{index}/file', summary: 'A file of a VM, streamed; it is cut off if it is not what the guest has read', kind: 'env' },
  { id: 'put-file', method: 'PUT', path: '/v1/env/{name}/vm/{index}/file', summary: 'Put the body into a VM as a file, streamed; it has its name there only once it is whole', kind: 'env' },
  { id: 'run', method: 'POST', path: '/v1/env/{name}/run', summary: 'Run a command in the VMs of an ENV', kind: 'env' },
  { id: 'session', method: 'POST', path: '/v1/session', summary: 'Open a session that needs no input' },
  { id: 'join-session', method: 'GET', path: '/v1/session', summary: 'Open any session over a WebSocket, with input' },
] as const satisfies readonly Route[]

export type RouteId = (typeof routes)[number]['id']

/** Something for each kind, under the ids of its routes. */
export const perKind = <P extends 'list' | 'get', T>(verb: P, make: (kind: Kind) => T) =>
  Object.fromEntries(kinds.map((kind) => [`${verb}-${kind}`, make(kind)])) as Record<`${P}-${Kind}`, T>

/** The path of a collection, or of one resource of it. */
export const pathTo = (kind: Kind, name?: string): string => (name === undefined ? collectionPath(kind) : `${collectionPath(kind)}/${segment(name)}`)

/** The path of a route without parameters, or with `{name}` and `{index}` filled in. */
export function pathOf(id: RouteId, params: Record<string, string | number> = {}): string {
  const { path } = routeOf(id)
  return path.replace(/\{(\w+)\+?\}/g, (_all, name: string) => segment(String(params[name] ?? '')))
}

const routeOf = (id: RouteId): Route => routes.find((route) => route.id === id) as Route

/** A lone surrogate has no percent-encoding; it becomes U+FFFD, which no name has either. */
const segment = (text: string) => encodeURIComponent(text.toWellFormed())

export interface Match {
  /** Absent if the path is known and the method is not offered for it. */
  route?: (typeof routes)[number]
  params: Record<string, string>
  /** What is offered for the path. */
  allow: Method[]
  kind?: Kind
}

/** Finds the route for a method and a raw path; undefined if no route has such a path. Throws URIError on bad percent-encoding. */
export function match(method: string, path: string): Match | undefined {
  const segments = path.split('/').slice(1)
  const hits = compiled.flatMap((one) => {
    const params = paramsOf(one.parts, segments)
    return params ? [{ route: one.route, params }] : []
  })
  const hit = hits.find(({ route }) => route.method === method)
  const any = hit ?? hits[0]
  if (!any) return undefined
  const allow = [...new Set(hits.map(({ route }) => route.method))]
  const decoded = Object.fromEntries(Object.entries(any.params).map(([name, text]) => [name, decodeURIComponent(text)]))
  return { route: hit?.route, params: decoded, allow, kind: (any.route as Route).kind }
}

const compiled = routes.map((route) => ({ route, parts: route.path.split('/').slice(1) }))

function paramsOf(parts: string[], segments: string[]): Record<string, string> | undefined {
  const tail = parts.at(-1)?.endsWith('+}') ?? false
  if (tail ? segments.length < parts.length : segments.length !== parts.length) return undefined
  const params: Record<string, string> = {}
  for (const [at, part] of parts.entries()) {
    const last = tail && at === parts.length - 1
    if (part.startsWith('{')) params[part.replace(/[{}+]/g, '')] = last ? segments.slice(at).join('/') : (segments[at] ?? '')
    else if (part !== segments[at]) return undefined
  }
  return params
}
