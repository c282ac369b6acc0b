import { randomHex } from '../base/world.ts'
import { check } from '../model/check.ts'
import type { Collection } from '../model/cloud.ts'
import { fail } from '../model/errors.ts'
import type { Resource } from '../model/kinds.ts'
import { parseTokenName, shown } from '../model/names.ts'
import { keys, type TokenRecord } from '../model/records.ts'
import { TokenSpec } from '../model/user.ts'
import type { ViewEntry } from '../store/view.ts'
import { changes } from './changes.ts'
import type { EnvParts } from './parts.ts'
import { retried } from './retried.ts'
import { checkRevision, checkUid } from './expected.ts'
import { builtInUser, narrower } from './token-meaning.ts'

/** More than anybody needs, and an end for whoever makes them in a loop. */
const tokensMax = 100

/** Tokens: what the cloud keeps of each is the sha256 of a secret it never saw. */
export function tokenCollection({ store, truth, world }: EnvParts): Collection<'token'> {
  const subject = (name: string) => `token/${name}`
  /** One whose user is gone is none; also where another has the name since. */
  const live = (name: string) => {
    const seen = truth.tokens.entry(keys.token(name))
    return seen && seen.value.userUid === truth.users.get(keys.user(seen.value.user))?.uid ? seen : undefined
  }
  const resource = (name: string) => {
    const seen = live(name)
    return seen && tokenResource(seen, world.now())
  }
  const missing = (name: string): never => fail('not_found', `there is no token ${shown(name)}`, { subject: subject(name), remedy: 'see `tt token list`' })
  const names = (under?: string) => truth.tokens.values().flatMap(({ name, user }) => ((under === undefined || under === user) && live(name) ? [name] : []))
  return {
    get: async (name) => resource(name) ?? missing(name),
    list: async (options) => ({ items: names(options?.under).flatMap((name) => resource(name) ?? []), missing: [] }),
    async put(name, options, call) {
      const parts = parseTokenName(name) ?? fail('invalid', `${shown(name)} is not the name of a token`, { subject: 'token', remedy: 'write it as USER/NAME' })
      const { value: spec, wrong } = check(TokenSpec, options.spec)
      if (!spec) fail('invalid', wrong, { subject: subject(name) })
      checkUid(options.uid, subject(name))
      if (spec.expires !== undefined && !(Date.parse(spec.expires) > world.now())) fail('invalid', `expires is ${spec.expires}, which is over already`, { subject: subject(name) })
      await retried(
        world,
        async () => {
          const seen = live(name)
          if (seen && options.uid === seen.value.uid && options.expect === 'absent') return
          checkRevision(seen, options, { subject: subject(name), label: `token ${name}` })
          const user = truth.users.entry(keys.user(parts.user))
          if (!user && parts.user !== builtInUser) fail('not_found', `there is no user ${parts.user}`, { subject: `user/${parts.user}`, remedy: 'see `tt user list`' })
          const own = user?.value.spec.role ?? 'admin'
          if (spec.role !== undefined && narrower(spec.role, own) !== spec.role) fail('invalid', `role is ${spec.role}, which is more than that of ${parts.user}, ${own}`, { subject: subject(name), remedy: 'leave it out, or give the user that role first' })
          if (truth.tokens.values().some((other) => other.name !== name && other.spec.sha256 === spec.sha256)) fail('conflict', 'another token has the same secret', { subject: subject(name), remedy: 'make a new one' })
          if (seen && JSON.stringify(seen.value.spec) === JSON.stringify(spec)) return
          if (!seen && names(parts.user).length >= tokensMax) fail('exhausted', `${parts.user} has ${tokensMax} tokens, as many as are allowed`, { subject: subject(name), remedy: 'delete one first: `tt token list`' })
          const record: TokenRecord = seen
            ? { ...seen.value, spec }
            : { name, user: parts.user, ...(user ? { userUid: user.value.uid } : {}), uid: options.uid ?? randomHex(world, 6), created: new Date(world.now()).toISOString(), spec }
          const there = truth.tokens.entry(keys.token(name))
          const revision = await store.commit([...(user ? [{ key: keys.user(parts.user), expect: user.revision }] : []), { key: keys.token(name), value: record, expect: there?.revision ?? 'absent' }], call)
          await truth.reached(revision)
        },
        call,
      )
      return resource(name) ?? missing(name)
    },
    async remove(name, _options, call) {
      await retried(
        world,
        async () => {
          const seen = live(name) ?? missing(name)
          // It may be the caller's own: that the call ends by it does not make it undone.
          await truth.reached(await store.commit([{ key: keys.token(name), value: null, expect: seen.revision }], call))
        },
        call,
      )
    },
    watch: (options, call) =>
      changes(
        {
          names: () => names(options?.under),
          get: resource,
          listen: (touch) => truth.tokens.onChange(({ key }) => {
            const name = key.slice(keys.tokens.length)
            if (options?.under === undefined || parseTokenName(name)?.user === options.under) touch(name)
          }),
        },
        call,
      ),
  }
}

const tokenResource = ({ value: { name, uid, user, created, spec }, revision }: ViewEntry<TokenRecord>, nowMs: number): Resource<'token'> => ({
  kind: 'token',
  name,
  uid,
  revision: String(revision),
  owner: user,
  created,
  spec,
  status: { expired: spec.expires !== undefined && Date.parse(spec.expires) <= nowMs },
})
