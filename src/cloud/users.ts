import { randomHex } from '../base/world.ts'
import { check } from '../model/check.ts'
import type { Collection } from '../model/cloud.ts'
import { fail } from '../model/errors.ts'
import { type Demand, nothing, plus } from '../model/expand.ts'
import type { Resource } from '../model/kinds.ts'
import { checkUserName } from '../model/names.ts'
import { keys, lastPart, type UserRecord } from '../model/records.ts'
import { UserSpec } from '../model/user.ts'
import type { ViewEntry } from '../store/view.ts'
import { changes } from './changes.ts'
import { checkRevision, checkUid } from './expected.ts'
import { keptMb } from '../model/image.ts'
import type { EnvParts } from './parts.ts'
import { retried } from './retried.ts'
import { builtInUser } from './token-meaning.ts'
import type { Truth } from './truth.ts'

/** Accounts. Who may write them is the guard's to say. */
export function userCollection({ store, truth, world }: EnvParts): Collection<'user'> {
  const subject = (name: string) => `user/${name}`
  const resource = (name: string) => {
    const seen = truth.users.entry(keys.user(name))
    return seen && userResource(truth, seen)
  }
  const missing = (name: string): never => fail('not_found', `there is no user ${JSON.stringify(name.slice(0, 80))}`, { subject: subject(name), remedy: 'see `tt user list`' })
  const names = () => truth.users.values().map(({ name }) => name)
  return {
    get: async (name) => resource(name) ?? missing(name),
    list: async () => ({ items: names().flatMap((name) => resource(name) ?? []), missing: [] }),
    async put(name, options, call) {
      checkUserName(name)
      if (name === builtInUser) fail('invalid', `${builtInUser} is the server's own admin and has no account`, { subject: subject(name), remedy: 'choose another name, with the role admin if it is to be one' })
      const { value: spec, wrong } = check(UserSpec, options.spec)
      if (!spec) fail('invalid', wrong, { subject: subject(name) })
      checkUid(options.uid, subject(name))
      await retried(
        world,
        async () => {
          const seen = truth.users.entry(keys.user(name))
          if (seen && options.uid === seen.value.uid && options.expect === 'absent') return
          checkRevision(seen, options, { subject: subject(name), label: `user ${name}` })
          if (seen && JSON.stringify(seen.value.spec) === JSON.stringify(spec)) return
          const record: UserRecord = seen ? { ...seen.value, spec } : { name, uid: options.uid ?? randomHex(world, 6), created: new Date(world.now()).toISOString(), spec }
          await truth.reached(await store.commit([{ key: keys.user(name), value: record, expect: seen?.revision ?? 'absent' }], call))
        },
        call,
      )
      return resource(name) ?? missing(name)
    },
    async remove(name, _options, call) {
      await retried(
        world,
        async () => {
          const seen = truth.users.entry(keys.user(name)) ?? missing(name)
          const owned = truth.envs.values().filter(({ owner }) => owner === name)
          if (owned.length > 0) fail('conflict', `${name} has ${owned.length} ENV${owned.length === 1 ? '' : 's'}, the first ${owned[0]?.name}`, { subject: subject(name), remedy: 'delete what they have first, or only revoke their tokens' })
          // Whoever gets the name next would find them as their own.
          const [kept] = truth.hosts.values().flatMap(({ images }) => Object.entries(images).flatMap(([image, spec]) => (spec.owner === name ? [image] : [])))
          if (kept !== undefined) fail('conflict', `${name} has disks that were kept, the first ${kept}`, { subject: subject(name), remedy: 'delete these images first, or only revoke their tokens' })
          const tokens = truth.tokens.entries(`${keys.tokens}${name}/`).map(({ key }) => ({ key, value: null }))
          await truth.reached(await store.commit([{ key: keys.user(name), value: null, expect: seen.revision }, ...tokens], call))
        },
        call,
      )
    },
    watch: (_options, call) =>
      changes(
        {
          names,
          get: resource,
          listen(touch) {
            const stops = [truth.users.onChange(({ key }) => touch(lastPart(key))), truth.envs.onChange(({ value }, before) => [value, before].forEach((env) => env && touch(env.owner)))]
            return () => stops.forEach((stop) => stop())
          },
        },
        call,
      ),
  }
}

function userResource(truth: Truth, { value: record, revision }: ViewEntry<UserRecord>): Resource<'user'> {
  return {
    kind: 'user',
    name: record.name,
    uid: record.uid,
    revision: String(revision),
    owner: record.name,
    created: record.created,
    spec: record.spec,
    status: { envs: truth.usages.of(record.name).envs, used: usedBy(truth, record.name) },
  }
}

/** What all ENVs of the user ask for together, and the disks that were kept of earlier ones. */
export function usedBy(truth: Truth, owner: string): Demand {
  return plus(truth.usages.of(owner).used, { ...nothing, diskMb: truth.hosts.values().reduce((sum, host) => sum + keptMb(host.images, owner), 0) })
}
