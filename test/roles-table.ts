import type { Route, RouteId } from '../src/api/routes.ts'
import { routes } from '../src/api/routes.ts'
import type { SessionRequest } from '../src/model/session.ts'

/**
 * Who may do what over HTTP: every route and every session, by who asks, and the status that is answered. `test/roles.test.ts` asks all of it of a
 * real server; `docs/reference/roles.md` is made from it.
 */

/** Who asks: without a token, with one that nobody has, with one that has expired; a viewer; the one whose thing it is; another user; an admin. */
export const callers = ['nobody', 'forged', 'expired', 'viewer', 'owner', 'stranger', 'admin'] as const
export type CallerName = (typeof callers)[number]
export type Statuses = Record<CallerName, number>

/** What is asked: a route as it stands, or something of it that is judged by itself. */
export interface Row {
  route: RouteId
  /** What it is asked for, beyond what the route's own summary says. */
  of?: string
  statuses: Statuses
}

/** Four statuses, of those who have a token that is valid. The others are refused alike, whatever they ask for. */
const for4 = (viewer: number, owner: number, stranger: number, admin: number): Statuses => ({ nobody: 401, forged: 401, expired: 401, viewer, owner, stranger, admin })
const anybody = for4(200, 200, 200, 200)
const readable = for4(200, 200, 404, 200)

export const rows: readonly Row[] = [
  { route: 'ping', statuses: { nobody: 200, forged: 200, expired: 200, viewer: 200, owner: 200, stranger: 200, admin: 200 } },
  { route: 'version', statuses: anybody },
  { route: 'metrics', statuses: anybody },
  { route: 'about', statuses: anybody },
  { route: 'openapi', statuses: anybody },
  { route: 'list-env', statuses: anybody },
  { route: 'list-env', of: 'as they change', statuses: anybody },
  { route: 'get-env', statuses: readable },
  { route: 'get-env', of: 'waiting for it', statuses: readable },
  { route: 'put-env', of: 'one that is there', statuses: for4(403, 200, 409, 200) },
  { route: 'put-env', of: 'a new one', statuses: for4(403, 200, 200, 200) },
  { route: 'put-env', of: 'a new one for somebody else', statuses: for4(403, 403, 403, 200) },
  { route: 'put-env', of: 'without an end', statuses: for4(403, 403, 403, 200) },
  { route: 'put-env', of: 'with longLife', statuses: for4(403, 403, 403, 200) },
  { route: 'put-env', of: 'by the id of a task of another ENV', statuses: for4(403, 409, 409, 409) },
  { route: 'put-env', of: 'by the uid of another ENV', statuses: for4(403, 409, 409, 409) },
  { route: 'patch-env', statuses: for4(403, 200, 404, 200) },
  { route: 'remove-env', statuses: for4(403, 202, 404, 202) },
  { route: 'list-vm', statuses: anybody },
  { route: 'list-vm', of: 'under an ENV', statuses: readable },
  { route: 'list-vm', of: 'under an ENV, as they change', statuses: readable },
  { route: 'get-vm', statuses: readable },
  { route: 'list-vms-of-env', statuses: readable },
  { route: 'get-vm-of-env', statuses: readable },
  { route: 'logs', statuses: readable },
  { route: 'get-file', statuses: for4(403, 200, 404, 200) },
  { route: 'put-file', statuses: for4(403, 200, 404, 200) },
  { route: 'run', statuses: for4(403, 200, 404, 200) },
  { route: 'list-host', statuses: anybody },
  { route: 'get-host', statuses: anybody },
  { route: 'list-image', statuses: anybody },
  { route: 'get-image', of: 'one that was found', statuses: anybody },
  { route: 'get-image', of: 'one kept from a disk', statuses: readable },
  { route: 'remove-image', of: 'one that was found', statuses: for4(403, 403, 403, 422) },
  { route: 'remove-image', of: 'one kept from a disk', statuses: for4(403, 204, 404, 204) },
  { route: 'put-env', of: 'from an image kept from a disk', statuses: for4(403, 200, 404, 200) },
  { route: 'list-task', statuses: anybody },
  { route: 'get-task', statuses: readable },
  { route: 'remove-task', of: 'one that is over', statuses: for4(403, 204, 404, 204) },
  { route: 'list-user', statuses: anybody },
  { route: 'get-user', statuses: for4(404, 200, 404, 200) },
  { route: 'put-user', statuses: for4(403, 403, 403, 200) },
  { route: 'put-user', of: 'a new one', statuses: for4(403, 403, 403, 200) },
  { route: 'remove-user', statuses: for4(403, 403, 403, 204) },
  { route: 'list-token', statuses: anybody },
  { route: 'get-token', statuses: for4(404, 200, 404, 200) },
  { route: 'put-token', statuses: for4(403, 200, 403, 200) },
  { route: 'remove-token', statuses: for4(403, 204, 404, 204) },
  { route: 'session', of: 'of a type there is', statuses: anybody },
  { route: 'join-session', of: 'without a WebSocket', statuses: for4(400, 400, 400, 400) },
]

/** Every type of session, over `POST /v1/session` or, where input is needed, a WebSocket. */
export const sessions: Record<SessionRequest['type'], Statuses> = {
  exec: for4(403, 200, 404, 200),
  console: for4(403, 200, 404, 200),
  screen: for4(403, 200, 404, 200),
  push: for4(403, 200, 404, 200),
  get: for4(403, 200, 404, 200),
  ping: for4(403, 200, 404, 200),
  logs: readable,
  events: anybody,
  audit: for4(403, 403, 403, 200),
  reload: for4(403, 403, 403, 200),
  doctor: for4(403, 403, 403, 200),
  build: for4(403, 403, 403, 200),
  import: for4(403, 403, 403, 200),
}

/** `docs/reference/roles.md`. */
export function rolesReference(): string {
  const cells = (statuses: Statuses) => callers.map((caller) => statuses[caller]).join(' | ')
  const head = `| ${callers.join(' | ')} |`
  const routeOf = (id: RouteId) => routes.find((route) => route.id === id) as Route
  return [
    '# Who may do what',
    '<!-- Made by script/docs from test/roles-table.ts, which a test asks of a real server; do not edit. -->',
    'Each row is something that can be asked over HTTP, each column who asks, each cell the status of the answer. *nobody* has no token, *forged* one that nobody has, *expired* one that has ended. *owner* and *stranger* are ordinary users: the thing belongs to the one and not to the other. What is 404 to a stranger is answered in the same words as what never was.',
    'What lists tell is told by [users](../how-to/users.md).',
    '## Routes',
    [`| ${head}`, `|---|${'--:|'.repeat(callers.length)}`, ...rows.map(({ route, of, statuses }) => `| \`${routeOf(route).method} ${routeOf(route).path}\`${of === undefined ? '' : `, ${of}`} | ${cells(statuses)} |`)].join('\n'),
    '## Sessions',
    [`| ${head}`, `|---|${'--:|'.repeat(callers.length)}`, ...Object.entries(sessions).map(([type, statuses]) => `| ${type} | ${cells(statuses)} |`)].join('\n'),
  ]
    .join('\n\n')
    .concat('\n')
}
