import type { Call } from '../model/call.ts'
import type { Change, Cloud, Collection, ListOptions } from '../model/cloud.ts'
import type { EnvSpec, EnvStatus } from '../model/env.ts'
import { asTtError, fail } from '../model/errors.ts'
import type { Kind, Resource } from '../model/kinds.ts'
import { shown } from '../model/names.ts'
import type { User } from '../model/user.ts'

/** The reading half of a collection. */
export type Reading<K extends Kind> = Pick<Collection<K>, 'get' | 'list' | 'watch'>

/** What of a kind the user may see. */
export function sights<K extends Kind>(cloud: Cloud, kind: K, user: User): Reading<K> {
  const inner = cloud.collection(kind)
  const mine = (resource: Resource<K>) => ownerOf(kind, resource) === user.name
  const whole = (resource: Resource<K>) => mine(resource) || isOpen(kind, resource, user)
  /** What a list tells of a resource; undefined for nothing. */
  const told = (resource: Resource<K>, { all, under }: ListOptions): Resource<K> | undefined => {
    if (mine(resource) || (whole(resource) && (all || under !== undefined || !isPersonal(kind)))) return resource
    return all && kind === 'env' && user.rights?.includes('listAll') ? (reduced(resource as Resource<'env'>) as Resource<Kind> as Resource<K>) : undefined
  }
  /** What is under an ENV that may not be seen is not there either. */
  const checkUnder = async ({ under }: ListOptions, call?: Call) => {
    if (under !== undefined && kind === 'vm' && !seesAll(user)) await sights(cloud, 'env', user).get(under, call)
  }
  return {
    async get(name, call) {
      try {
        const resource = await inner.get(name, call)
        if (whole(resource)) return resource
      } catch (thrown) {
        if (asTtError(thrown).code !== 'not_found') throw thrown
      }
      return missing(kind, name)
    },
    async list(options = {}, call) {
      await checkUnder(options, call)
      const { items, missing: silent } = await inner.list(options, call)
      return { items: items.flatMap((resource) => told(resource, options) ?? []), missing: seesAll(user) ? silent : silent.filter(({ subject }) => !subject?.startsWith(`${kind}/`)) }
    },
    async *watch(options = {}, call): AsyncGenerator<Change<K>> {
      if (call?.signal?.aborted) return
      await checkUnder(options, call)
      const known = new Set<string>()
      for await (const change of inner.watch(options, call)) {
        if (change.type === 'synced') yield change
        else if (change.type === 'gone') {
          if (known.delete(change.name)) yield change
        } else {
          const { name } = change.resource
          const resource = told(change.resource, options)
          if (resource) {
            known.add(name)
            yield { type: 'is', resource }
          } else if (known.delete(name)) yield { type: 'gone', name } // Another's has the name now.
        }
      }
    },
  }
}

/** Whether the user may look at what is others'. */
export const seesAll = ({ role, ownOnly }: User): boolean => role === 'admin' || (role === 'viewer' && ownOnly === undefined)

/** Whose it is; undefined for what is nobody's. */
function ownerOf(kind: Kind, resource: Resource<Kind>): string | undefined {
  if (kind === 'host') return undefined
  return kind === 'image' ? (resource as Resource<'image'>).spec.owner : resource.owner
}

/** Whether the user may see it although it is not theirs. */
function isOpen(kind: Kind, resource: Resource<Kind>, user: User): boolean {
  if (ownerOf(kind, resource) === undefined || user.role === 'admin') return true
  return seesAll(user) && kind !== 'user' && kind !== 'token'
}

/** Kinds of which everybody has their own; lists of the others tell all that may be seen. */
const isPersonal = (kind: Kind): boolean => kind === 'env' || kind === 'vm' || kind === 'task' || kind === 'token'

/** The only way to say that there is none: what is hidden and what never was are refused by the same words. */
function missing(kind: Kind, name: string): never {
  const { word, remedy } = refusals[kind]
  fail('not_found', `there is no ${word} ${shown(name)}`, { subject: `${kind}/${name}`, remedy })
}

const refusals: Record<Kind, { word: string; remedy: string }> = {
  env: { word: 'ENV', remedy: 'see `tt env list`' },
  vm: { word: 'VM', remedy: 'see `tt env show`' },
  host: { word: 'host', remedy: 'see `tt status --server`' },
  image: { word: 'image', remedy: 'see `tt image list`' },
  task: { word: 'task', remedy: 'see `tt task list`' },
  user: { word: 'user', remedy: 'see `tt user list`' },
  token: { word: 'token', remedy: 'see `tt token list`' },
}

function reduced({ kind, name, owner, created, status }: Resource<'env'>): Resource<'env'> {
  const { vms = 0, expires } = status ?? {}
  return { kind, name, uid: '', revision: '', owner, created, spec: untold, status: { phase: 'ready', vms, ready: 0, since: created, ...(expires === undefined ? {} : { expires }) } satisfies EnvStatus, reduced: true }
}

const untold: EnvSpec = { groups: [], lifetimeSeconds: null, longLife: false, atEnd: 'delete', keepDisks: false, denyOutgoing: false, deny: [], sshKeys: [], peers: [], exceptions: {}, deadlineSeconds: 600, stopped: false, starts: 0, kicked: [] }
