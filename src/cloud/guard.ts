import type { Call } from '../model/call.ts'
import type { Cloud, Collection, Listing } from '../model/cloud.ts'
import { asTtError, fail } from '../model/errors.ts'
import type { Kind, Resource } from '../model/kinds.ts'
import { parseVmName } from '../model/names.ts'
import type { User } from '../model/user.ts'

/**
 * A Cloud as one user may see it: an admin everything, a user their own ENVs and VMs, the hosts and the images. What is another's does not
 * exist: `get`, `remove` and `open` answer as for a name that never was, so that nobody can ask who has what.
 */
export function guard(cloud: Cloud, user: User): Cloud {
  if (user.role === 'admin') return { ...withOwner(cloud, user), about: async (call) => ({ ...(await cloud.about(call)), user: user.name, role: user.role }) }
  const own = withOwner(cloud, user)
  return {
    about: async (call) => ({ ...(await cloud.about(call)), user: user.name, role: user.role }),
    collection<K extends Kind>(kind: K): Collection<K> {
      const inner = own.collection(kind)
      return kind === 'env' || kind === 'vm' ? ownOnly(inner, { user, cloud, kind }) : readOnly(inner, kind)
    },
    async open(request, call) {
      if (!('vms' in request)) fail('denied', `only an admin may ask for ${request.type}`, { subject: request.type })
      for (const name of request.vms.envs) {
        const env = await cloud.collection('env').get(name, call)
        if (env.owner !== user.name) hidden('env', name)
      }
      return cloud.open(request, call)
    },
  }
}

/** Every `put` carries its caller; only an admin may put another's name there. */
function withOwner(cloud: Cloud, user: User): Cloud {
  return {
    about: (call) => cloud.about(call),
    collection<K extends Kind>(kind: K): Collection<K> {
      const inner = cloud.collection(kind)
      return {
        ...inner,
        put(name, options, call) {
          if (user.role !== 'admin' && options.owner !== undefined && options.owner !== user.name) fail('denied', 'only an admin may make things for others', { subject: `${kind}/${name}` })
          return inner.put(name, { ...options, owner: options.owner ?? user.name }, call)
        },
      }
    },
    open: (request, call) => cloud.open(request, call),
  }
}

function ownOnly<K extends Kind>(inner: Collection<K>, { user, cloud, kind }: { user: User; cloud: Cloud; kind: K }): Collection<K> {
  const mine = (resource: Resource<K>) => resource.owner === user.name
  const visible = async (name: string, call?: Call) => {
    const resource = await inner.get(name, call)
    if (!mine(resource)) hidden(kind, name)
    return resource
  }
  return {
    get: visible,
    async list(options, call): Promise<Listing<K>> {
      if (options?.under !== undefined && (await cloud.collection('env').get(options.under, call)).owner !== user.name) hidden('env', options.under)
      const { items, missing } = await inner.list(options, call)
      return { items: items.filter(mine), missing }
    },
    async put(name, options, call) {
      for (let tries = 1; ; tries++) {
        const there = await ownOrNothing(inner, { name, mine }, call)
        try {
          // What was not there must be made, so that a name another user takes in this moment is not changed instead.
          return await inner.put(name, { ...options, expect: options.expect ?? (there ? undefined : 'absent') }, call)
        } catch (thrown) {
          if (options.expect !== undefined || there || asTtError(thrown).code !== 'exists' || tries >= 10) throw thrown
        }
      }
    },
    async remove(name, call) {
      await visible(name, call)
      await inner.remove(name, call)
    },
    async *watch(options, call) {
      const known = new Set<string>()
      for await (const change of inner.watch(options, call)) {
        if (change.type === 'is' && !mine(change.resource)) continue
        if (change.type === 'is') known.add(change.resource.name)
        if (change.type === 'gone' && !known.delete(change.name)) continue
        yield change
      }
    },
  }
}

/** Names are unique over all users, so a name that is another's is refused as taken: never overwritten, never shown. */
async function ownOrNothing<K extends Kind>(inner: Collection<K>, { name, mine }: { name: string; mine: (resource: Resource<K>) => boolean }, call?: Call): Promise<Resource<K> | undefined> {
  const there = await inner.get(name, call).catch((thrown: unknown) => (asTtError(thrown).code === 'not_found' ? undefined : Promise.reject(thrown)))
  if (there && !mine(there)) fail('exists', `the name ${name} is taken`, { subject: `env/${name}`, remedy: 'choose another name' })
  return there
}

function hidden(kind: Kind, name: string): never {
  const ofVm = kind === 'vm' && parseVmName(name)
  fail('not_found', ofVm ? `there is no VM ${JSON.stringify(name)}` : `there is no ENV ${JSON.stringify(name)}`, { subject: `${kind}/${name}`, remedy: kind === 'vm' ? 'see `tt env show`' : 'see `tt env list`' })
}

function readOnly<K extends Kind>(inner: Collection<K>, kind: K): Collection<K> {
  const refuse = (name: string): never => fail('denied', `only an admin may change a ${kind}`, { subject: `${kind}/${name}` })
  return { ...inner, put: async (name) => refuse(name), remove: async (name) => refuse(name) }
}
