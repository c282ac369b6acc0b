import type { Call } from '../model/call.ts'
import type { Cloud } from '../model/cloud.ts'
import { asTtError } from '../model/errors.ts'
import type { Resource } from '../model/kinds.ts'

type Env = Resource<'env'>

/** Two ENVs of which one names the other as a peer, as seen from one of them. */
export interface Peering {
  /** The other one. */
  env: string
  /** Which side names the other; of an ENV that is not there, or whose peers may not be seen, only this side is known. */
  namedBy: 'both' | 'this' | 'other'
  /** Whether their VMs may talk; null where the peers of the other may not be seen. */
  talks: boolean | null
  /** Whether no ENV of that name can be seen. */
  absent: boolean
  /** Whether the other has failed or is being removed, so that nobody talks with it. */
  ends: boolean
}

/** All that are named by it or name it, in the order of their names. Two of one owner talk if one side names the other; of two owners, both have to. */
export function peeringsOf(env: Env, envs: Iterable<Env>): Peering[] {
  const others = new Map([...envs].filter(({ uid, name }) => uid !== env.uid && name !== env.name).map((other) => [other.name, other]))
  const names = new Set([...env.spec.peers, ...[...others.values()].flatMap((other) => (namesIt(other, env.name) ? [other.name] : []))])
  return [...names].sort().map((name) => peering(env, name, others.get(name)))
}

function peering(env: Env, name: string, other: Env | undefined): Peering {
  const here = env.spec.peers.includes(name)
  const there = other !== undefined && namesIt(other, env.name)
  const ends = !other?.reduced && (other?.removing !== undefined || other?.status?.phase === 'failed')
  const enough = other?.owner === env.owner ? here || there : here && there
  return { env: name, namedBy: here && there ? 'both' : here ? 'this' : 'other', talks: other?.reduced ? null : enough && !ends, absent: other === undefined, ends }
}

const namesIt = ({ reduced, spec }: Env, name: string) => !reduced && spec.peers?.includes(name)

/** A line for each that does not talk with it although one side names the other. */
export const silentLines = (peerings: readonly Peering[]): string[] => peerings.flatMap(({ env, ...one }) => (one.talks ? [] : [`  ${env}: ${silenceOf(one)}`]))

function silenceOf({ absent, ends, talks, namedBy }: Omit<Peering, 'env'>): string {
  if (absent) return 'named as its peer, but there is no such ENV that you can see'
  if (talks === null) return "named as its peer; being another owner's, it must name this ENV too"
  if (ends) return 'a peer, but it has failed or is being removed'
  return namedBy === 'this' ? 'named as its peer, but does not name this ENV: they do not talk' : 'names this ENV as its peer, but is not named by it: they do not talk'
}

/** What whoever changed the peers of an ENV would not expect of those that were named or left out, as far as the caller may see it. */
export async function peerRemarks(cloud: Cloud, env: Env, options: { added: readonly string[]; removed: readonly string[]; call: Call }): Promise<string[]> {
  const { added, removed, call } = options
  const found = await Promise.all([...added, ...removed].map((name) => present(cloud, name, call)))
  const others = new Map(found.flatMap((other) => (other ? [[other.name, other]] : [])))
  const still = removed.filter((name) => peering(env, name, others.get(name)).talks)
  return [
    ...added.flatMap((name) => {
      const other = others.get(name)
      const { absent, talks } = peering(env, name, other)
      if (absent) return [`there is no ENV ${name} that you can see; it takes effect when there is one`]
      return talks || other?.owner === env.owner ? [] : [`${name} is another owner's: they talk once it names ${env.name} too`]
    }),
    ...still.map((name) => `${name} names it too, so they still talk: \`tt env update ${name} --no-peer ${env.name}\``),
  ]
}

async function present(cloud: Cloud, name: string, call: Call): Promise<Env | undefined> {
  try {
    return await cloud.collection('env').get(name, call)
  } catch (thrown) {
    if (['not_found', 'denied'].includes(asTtError(thrown).code)) return undefined
    throw thrown
  }
}
