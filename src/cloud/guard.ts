import type { Cloud, Collection } from '../model/cloud.ts'
import { fail } from '../model/errors.ts'
import type { Kind } from '../model/kinds.ts'
import type { CloudEvent, Session, SessionFrame, SessionRequest } from '../model/session.ts'
import type { User } from '../model/user.ts'
import { seesAll, sights } from './guard-sight.ts'
import { writes } from './guard-writes.ts'

/**
 * A Cloud as one user may see it. An admin sees and may do everything, a user what is theirs, a viewer looks at everything that somebody runs.
 * What may not be seen does not exist: every verb answers as for a name that never was, so that nobody can ask who has what.
 *
 * `list` and `watch` tell what is the caller's own; with `all`, also what is others' as far as the caller may see it. What belongs to
 * nobody (hosts, images that were found) and accounts are told in any case.
 */
export function guard(cloud: Cloud, user: User): Cloud {
  const { name, role } = user
  return {
    about: async (call) => ({ ...(await cloud.about(call)), user: name, role }),
    collection<K extends Kind>(kind: K): Collection<K> {
      const inner = cloud.collection(kind)
      const reading = sights(cloud, kind, user)
      return { ...reading, ...writes({ cloud, kind, user, inner, reading }) }
    },
    async open(request, call) {
      checkMay(user, request)
      if ('vms' in request) for (const env of request.vms.envs) await sights(cloud, 'env', user).get(env, call)
      const session = await cloud.open(request, call)
      return request.type === 'events' && role !== 'admin' ? withOwnEvents(session, user) : session
    },
  }
}

/** Sessions by who may open them, besides admins. What reaches into a guest is for its owner; a viewer may read what it printed. */
const openers: Record<SessionRequest['type'], readonly User['role'][]> = {
  exec: ['user'],
  console: ['user'],
  screen: ['user'],
  push: ['user'],
  get: ['user'],
  ping: ['user'],
  logs: ['user', 'viewer'],
  events: ['user', 'viewer'],
  audit: [],
  reload: [],
  doctor: [],
  build: [],
  import: [],
}

/** Refuses with `denied`, whatever the request names. */
function checkMay({ role }: User, { type }: SessionRequest): void {
  if (role === 'admin' || openers[type].includes(role)) return
  fail('denied', openers[type].length > 0 ? `a viewer may not ask for ${type}` : `only an admin may ask for ${type}`, { subject: type })
}

/** Whether the user may know of it: of what is theirs, and of what they could look at. */
function mayKnow(user: User, { subject, owner, event }: CloudEvent): boolean {
  if (owner === user.name) return true
  const isAccount = /^(user|token)\//.test(subject)
  if (seesAll(user)) return !isAccount
  // Whose an image was that cannot be read any more is not known.
  return owner === undefined && (subject.startsWith('host/') || (subject.startsWith('image/') && event !== 'broken'))
}

function withOwnEvents({ output, input, ...session }: Session, user: User): Session {
  const may = (frame: SessionFrame) => frame.type !== 'event' || mayKnow(user, frame.event)
  const reader = output.getReader()
  return {
    output: new ReadableStream<SessionFrame>(
      {
        async pull(controller) {
          for (;;) {
            const { done, value } = await reader.read()
            if (done) return controller.close()
            if (may(value)) return controller.enqueue(value)
          }
        },
        cancel: (reason) => reader.cancel(reason),
      },
      { highWaterMark: 0 },
    ),
    input,
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  }
}
