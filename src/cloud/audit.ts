import { paced } from '../base/paced.ts'
import type { World } from '../base/world.ts'
import type { Call } from '../model/call.ts'
import type { Cloud, Collection } from '../model/cloud.ts'
import { asTtError, fail } from '../model/errors.ts'
import type { Kind } from '../model/kinds.ts'
import { frameSize, type AuditEntry, type Session, type SessionFrame, type SessionInput, type SessionRequest, unreadLimitBytes } from '../model/session.ts'
import type { Origin, User } from '../model/user.ts'

/** Where it is kept who did what. */
export interface AuditTrail {
  /** Keeps an entry. Never waits and never throws. */
  write(entry: AuditEntry): void
  /** The last so many, the oldest first; with a listener also every one from then on, until `stop` is called. */
  tail(last: number, listener?: (entry: AuditEntry) => void): Promise<{ entries: AuditEntry[]; stop(): void }>
}

export interface AuditParts {
  trail: AuditTrail
  user: User
  origin: Origin
  world: Pick<World, 'now'>
}

/**
 * A Cloud that writes down every change and every session that is asked of it, with its outcome: what was refused too, so it goes around the
 * guard. Reads are not written down. It answers `audit` sessions itself.
 */
export function audit(cloud: Cloud, parts: AuditParts): Cloud {
  const { trail, user, origin, world } = parts
  const written = async <T>(action: string, subject: string, run: () => Promise<T>): Promise<T> => {
    const write = (result: string) => {
      const { token, request } = origin
      trail.write({ time: new Date(world.now()).toISOString(), user: user.name, ...(token === undefined ? {} : { token }), request, action, subject: subject.slice(0, subjectMax), result })
    }
    try {
      const done = await run()
      write('ok')
      return done
    } catch (thrown) {
      write(asTtError(thrown).code)
      throw thrown
    }
  }
  return {
    about: (call) => cloud.about(call),
    collection<K extends Kind>(kind: K): Collection<K> {
      const inner = cloud.collection(kind)
      return {
        ...inner,
        put: (name, options, call) => written(`put ${kind}`, `${kind}/${name}`, () => inner.put(name, options, call)),
        remove: (name, options, call) => written(`remove ${kind}`, `${kind}/${name}`, () => inner.remove(name, options, call)),
      }
    },
    open: (request, call) => written(`open ${request.type}`, subjectOf(request), () => (request.type === 'audit' ? auditSession(parts, request, call) : cloud.open(request, call))),
  }
}

/** Whoever asks for something with a long name does not fill the file. */
const subjectMax = 300

/** The VMs a session is for, as people write them. */
function subjectOf(request: SessionRequest): string {
  if (!('vms' in request)) return request.type === 'build' ? `image/${request.image}` : request.type === 'import' ? `image/${request.image.name}` : request.type
  const { envs, indices } = request.vms
  return envs.map((env) => (indices?.length ? `vm/${env}.${indices.slice(0, 10).join(',')}` : `env/${env}`)).join(' ')
}

const lastDefault = 100

async function auditSession({ trail, user }: AuditParts, { last = lastDefault, follow }: Extract<SessionRequest, { type: 'audit' }>, call?: Call): Promise<Session> {
  if (user.role !== 'admin') fail('denied', 'only an admin may ask for audit', { subject: 'audit' })
  call?.signal?.throwIfAborted()
  let end = () => undefined as void
  const out = paced<SessionFrame>({ sizeOf: frameSize, limitBytes: unreadLimitBytes, onCancel: () => end() })
  const tell = (entry: AuditEntry) => {
    // A reader that does not keep up is left behind, not waited for.
    if (out.send({ type: 'audit', entry }) === undefined) return
    out.tell({ type: 'problem', problem: { code: 'too_large', message: 'more was done than was read', subject: 'audit', remedy: 'ask again' } })
    end()
  }
  const { entries, stop } = await trail.tail(last, follow ? tell : undefined)
  end = () => {
    stop()
    call?.signal?.removeEventListener('abort', end)
    out.end()
  }
  call?.signal?.addEventListener('abort', end, { once: true })
  if (call?.signal?.aborted) end()
  for (const entry of entries) out.tell({ type: 'audit', entry })
  if (!follow) end()
  return { output: out.output, input: new WritableStream<SessionInput>(), [Symbol.asyncDispose]: async () => end() }
}
