import type { Call } from '../model/call.ts'
import type { Cloud, Collection, PutOptions } from '../model/cloud.ts'
import { asTtError, fail } from '../model/errors.ts'
import type { Kind, Resource } from '../model/kinds.ts'
import { parseTokenName } from '../model/names.ts'
import type { User } from '../model/user.ts'
import { checkEnvRights } from './guard-env.ts'
import type { Reading } from './guard-sight.ts'
import { builtInUser, narrower } from './token-meaning.ts'

/** The writing half of a collection. */
type Writing<K extends Kind> = Pick<Collection<K>, 'put' | 'remove'>

interface Parts<K extends Kind> {
  cloud: Cloud
  kind: K
  user: User
  inner: Collection<K>
  reading: Reading<K>
}

/** What of a kind the user may change. */
export function writes<K extends Kind>(parts: Parts<K>): Writing<K> {
  if (parts.user.role === 'admin') return adminWrites(parts)
  if (parts.user.role === 'viewer') return refusing(parts.kind, 'a viewer changes nothing')
  return (ownWrites as { [One in Kind]: (parts: Parts<One>) => Writing<One> })[parts.kind](parts)
}

/** Everything. What an admin makes is the admin's, unless somebody else is named, whom there must be. */
function adminWrites<K extends Kind>({ cloud, user, inner }: Parts<K>): Writing<K> {
  return {
    async put(name, options, call) {
      const { owner = user.name } = options
      if (owner !== user.name && owner !== builtInUser) await cloud.collection('user').get(owner, call)
      return inner.put(name, { ...options, owner }, call)
    },
    remove: inner.remove,
  }
}

/** What an ordinary user may change, kind by kind. */
const ownWrites: { [K in Kind]: (parts: Parts<K>) => Writing<K> } = {
  env: ({ user, inner, reading }) => ({
    put: (name, options, call) => ownPut({ inner, user, name }, options, call),
    async remove(name, options, call) {
      const { uid } = await reading.get(name, call)
      await inner.remove(name, { ...options, uid: options?.uid ?? uid }, call) // Not one that another makes of the name in this moment.
    },
  }),
  vm: ({ kind }) => refusing(kind, 'VMs are made and removed with their ENV'),
  host: ({ kind }) => refusing(kind, 'only an admin may change a host'),
  user: ({ kind }) => refusing(kind, 'only an admin may change accounts'),
  image: ({ kind, user, inner, reading }) => ({
    ...refusing(kind, 'images are found by hosts, not written'),
    async remove(name, options, call) {
      const image = await reading.get(name, call)
      if (image.spec.owner !== user.name) fail('denied', 'only an admin may remove an image that is not their own', { subject: `image/${name}` })
      await inner.remove(name, options, call)
    },
  }),
  task: ({ kind, inner, reading }) => ({ ...refusing(kind, 'a task is made by what it does'), remove: removing(inner, reading) }),
  token: ({ user, inner, reading }) => ({
    async put(name, options, call) {
      const of = parseTokenName(name)?.user
      if (of !== undefined && of !== user.name) fail('denied', 'only an admin may make tokens for others', { subject: `token/${name}` })
      checkWorth(user, name, options)
      return inner.put(name, options, call)
    },
    remove: removing(inner, reading),
  }),
}

/** Refuses whatever the name: so it says nothing about what there is. */
const refusing = (kind: Kind, why: string) => {
  const refuse = async (name: string): Promise<never> => fail('denied', why, { subject: `${kind}/${name}` })
  return { put: refuse, remove: refuse }
}

const removing =
  <K extends Kind>(inner: Collection<K>, reading: Reading<K>): Collection<K>['remove'] =>
  async (name, options, call) => {
    await reading.get(name, call)
    await inner.remove(name, options, call)
  }

interface Target {
  inner: Collection<'env'>
  user: User
  name: string
}

const triesMax = 10

/**
 * A put that changes an ENV of the caller's or makes one. What was looked at is what is changed, whatever others do meanwhile: names are
 * unique over all users, and one that is another's is refused as taken, never overwritten and never shown.
 */
async function ownPut(target: Target, options: PutOptions<'env'>, call?: Call): Promise<Resource<'env'>> {
  const { inner, user, name } = target
  if (options.owner !== undefined && options.owner !== user.name) fail('denied', 'only an admin may make things for others', { subject: `env/${name}` })
  for (let tries = 1; ; tries++) {
    const there = await present(target, call)
    if (there && there.owner !== user.name) taken(name)
    checkEnvRights(user, options.spec, { name, there })
    try {
      const kept = await putAsSeen(inner, there, { name, options: { ...options, owner: user.name } }, call)
      return kept.owner === user.name ? kept : taken(name)
    } catch (thrown) {
      const isLost = options.expect === undefined && ['conflict', 'exists', 'not_found'].includes(asTtError(thrown).code) && tries < triesMax
      if (!isLost || stateOf(await present(target, call)) === stateOf(there)) throw thrown
    }
  }
}

/** Puts only if the ENV is as it was seen. One that has failed may be made anew, as if it were not there, once its hosts have let go of it. */
async function putAsSeen(inner: Collection<'env'>, there: Resource<'env'> | undefined, { name, options }: { name: string; options: PutOptions<'env'> }, call?: Call): Promise<Resource<'env'>> {
  const put = (expect: PutOptions<'env'>['expect']) => inner.put(name, { ...options, expect }, call)
  if (options.expect !== undefined) return put(options.expect)
  if (there && there.status?.phase !== 'failed') return put(there.revision)
  try {
    return await put('absent')
  } catch (thrown) {
    if (!there || asTtError(thrown).code !== 'exists') throw thrown
    return put(there.revision)
  }
}

/** Differs whenever another put may have another outcome. */
const stateOf = (env: Resource<'env'> | undefined): string => (env === undefined ? '' : [env.uid, env.revision, env.removing ?? '', env.status?.phase ?? ''].join(' '))

async function present({ inner, name }: Target, call?: Call): Promise<Resource<'env'> | undefined> {
  return inner.get(name, call).catch((thrown: unknown) => (asTtError(thrown).code === 'not_found' ? undefined : Promise.reject(thrown)))
}

const taken = (name: string): never => fail('exists', `the name ${name} is taken`, { subject: `env/${name}`, remedy: 'choose another name' })

/** A token makes no token that is worth more or lives longer than itself. */
function checkWorth({ token = {} }: User, name: string, { spec: { role, expires } }: PutOptions<'token'>): void {
  const subject = `token/${name}`
  if (token.role !== undefined && (role === undefined || narrower(role, token.role) !== role)) {
    fail('denied', `your token has the role ${token.role}, so it makes only tokens with that role or less`, { subject, remedy: `--role ${token.role}` })
  }
  if (token.expires !== undefined && !(expires !== undefined && Date.parse(expires) <= Date.parse(token.expires))) {
    fail('denied', `your token ends on ${token.expires}, so it makes only tokens that end by then`, { subject, remedy: 'name an earlier end by --expires' })
  }
}
