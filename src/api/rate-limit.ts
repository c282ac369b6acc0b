import { byLabel, meterText } from '../base/meters.ts'
import type { World } from '../base/world.ts'
import { fail } from '../model/errors.ts'
import type { Caller } from '../model/user.ts'
import type { ServerParts } from './exchange.ts'

/** How much one token may ask for; read anew for each request, so it may change meanwhile. */
export interface RateLimit {
  /** Requests per second; 0 is no limit. */
  perSecond: number
  /** Requests at once, after some quiet. */
  burst: number
}

export interface Limited {
  authenticate: ServerParts['authenticate']
  /** What was refused, as Prometheus text. */
  lines(): string
}

/**
 * Wrong tokens from one address: enough for a person with a typing error or a script with an old one, too few for guessing. Whoever has used a valid token
 * lately is not held up by a neighbour who guesses.
 */
const strangers: RateLimit = { perSecond: 10, burst: 100 }
const addressesMax = 10_000
const tokensMax = 10_000

/** Authenticates as before, and refuses with `limited` who asks too often: each token by a bucket of its own, and who tries tokens by address. */
export function rateLimited(authenticate: ServerParts['authenticate'], limit: RateLimit, world: Pick<World, 'ticks'>): Limited {
  const tokens = buckets(limit, tokensMax, world)
  const guesses = buckets(strangers, addressesMax, world)
  const refused = { token: 0, stranger: 0 }

  const judge = (caller: Caller | undefined, token: string, from: string): Caller | undefined => {
    if (caller) tokens.know(token)
    else {
      tokens.forget(token)
      guesses.take(from)
    }
    return caller
  }
  const failed = (thrown: unknown, token: string, from: string): never => {
    judge(undefined, token, from)
    throw thrown
  }
  return {
    authenticate(token, from = '') {
      const place = networkOf(from)
      if (tokens.knows(token)) {
        if (limit.perSecond > 0 && !tokens.take(token)) {
          refused.token++
          return fail('limited', `this token asks more than ${limit.perSecond} times a second`, { remedy: 'ask again in a second, and less often' })
        }
      } else if (guesses.isEmpty(place)) {
        refused.stranger++
        return fail('limited', 'too many wrong tokens came from this address', { remedy: 'ask again in a second, with a valid token' })
      }
      try {
        const found = authenticate(token, from)
        return found instanceof Promise ? found.then((caller) => judge(caller, token, place), (thrown: unknown) => failed(thrown, token, place)) : judge(found, token, place)
      } catch (thrown) {
        return failed(thrown, token, place)
      }
    },
    lines: () => meterText([byLabel({ name: 'tt_http_limited_total', type: 'counter', help: 'Requests refused for coming too fast' }, 'who', Object.entries(refused))]),
  }
}

/** Token buckets by name: each is filled at an even pace up to the burst, and each request takes one. */
function buckets(limit: RateLimit, most: number, { ticks }: Pick<World, 'ticks'>) {
  const all = new Map<string, { level: number; at: number }>()
  const filled = (name: string) => {
    const bucket = all.get(name)
    if (!bucket) return undefined
    const now = ticks()
    bucket.level = Math.min(limit.burst, bucket.level + ((now - bucket.at) * limit.perSecond) / 1000)
    bucket.at = now
    return bucket
  }
  const know = (name: string) => {
    const known = all.get(name)
    if (known) return known
    // The one that came first makes room: what is lost is a little strictness with whoever has that name.
    const [first] = all.size < most ? [] : all.keys()
    if (first !== undefined) all.delete(first)
    const bucket = { level: limit.burst - 1, at: ticks() }
    all.set(name, bucket)
    return bucket
  }
  return {
    knows: (name: string) => all.has(name),
    know,
    forget: (name: string) => void all.delete(name),
    isEmpty: (name: string) => (filled(name)?.level ?? limit.burst) < 1,
    /** Takes one if there is one. */
    take(name: string): boolean {
      const bucket = filled(name)
      if (!bucket) return Boolean(know(name))
      if (bucket.level < 1) return false
      bucket.level -= 1
      return true
    },
  }
}

/** Whoever has one IPv6 address has a whole /64 of them: its first four groups. */
function networkOf(address: string): string {
  if (!address.includes(':') || address.startsWith('::ffff:')) return address
  const [head = '', tail] = address.split('::')
  const groups = head === '' ? [] : head.split(':')
  const behind = tail === undefined || tail === '' ? 0 : tail.split(':').length
  const zeros = Array.from({ length: 8 - groups.length - behind }, () => '0')
  return [...groups, ...(tail === undefined ? [] : [...zeros, ...tail.split(':')])].slice(0, 4).join(':')
}
