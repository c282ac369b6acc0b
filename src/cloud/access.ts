import { sha256 } from '../base/sha256.ts'
import type { World } from '../base/world.ts'
import { fail, TtError } from '../model/errors.ts'
import { keys, type TokenRecord, type UserRecord } from '../model/records.ts'
import type { Caller, User } from '../model/user.ts'
import { follow } from '../store/follow.ts'
import type { View } from '../store/view.ts'
import { meant } from './token-meaning.ts'

/** Who has which secret. Only sha256 of secrets are compared, so the time a comparison takes says nothing about any of them. */
export interface Access extends Disposable {
  /** The caller with this secret; undefined if it is nobody's. One that has expired is refused with `unauthenticated`, which only its holder learns. */
  authenticate(secret: string): Caller | undefined
}

/** A caller that was let in, and may be in yet. */
interface Admitted {
  caller: Caller
  sha256: string
  /** What the token meant then; it is ended when that changes. */
  meaning: string
  end: AbortController
  expiresMs?: number
}

/** A clock may be set: ends that fall due meanwhile are noticed within this. */
const lookMs = 10_000

/**
 * Follows accounts and tokens. What was let in is ended, by `revoked`, in the moment its token or its user is taken away or may do something
 * else, and on the second on which the token expires.
 */
export function access({ users, tokens, world }: { users: View<UserRecord>; tokens: View<TokenRecord>; world: World }): Access {
  const byHash = new Map<string, Set<string>>()
  const admitted = new Map<string, Admitted>()
  let stopLooking: (() => void) | undefined

  const meaningOf = (key: string): User | undefined => {
    const token = tokens.get(key)
    // Two tokens with one secret are worth nothing: nobody could say whose it is.
    if (!token || byHash.get(token.spec.sha256)?.size !== 1) return undefined
    return meant(token, users.get(keys.user(token.user)))
  }
  const endOf = (key: string, message: string) => {
    const one = admitted.get(key)
    admitted.delete(key)
    one?.end.abort(refusal(message))
  }
  const review = (key: string) => {
    const one = admitted.get(key)
    if (!one) return
    const now = meaningOf(key)
    if (!now || tokens.get(key)?.spec.sha256 !== one.sha256) endOf(key, 'the token was revoked')
    else if (JSON.stringify(now) !== one.meaning) endOf(key, 'what the token allows has changed')
  }
  const look = () => {
    stopLooking?.()
    stopLooking = undefined
    let next = Infinity
    for (const [key, { expiresMs }] of admitted) {
      if (expiresMs === undefined) continue
      const leftMs = expiresMs - world.now()
      if (leftMs <= 0) endOf(key, 'the token has expired')
      else next = Math.min(next, leftMs)
    }
    if (next < Infinity) stopLooking = world.after(Math.min(next, lookMs), look)
  }

  const stops = [
    follow(tokens, (key, now, before) => {
      const old = before?.spec.sha256
      const fresh = now?.spec.sha256
      if (old !== fresh) {
        if (old !== undefined) byHash.get(old)?.delete(key)
        if (old !== undefined && byHash.get(old)?.size === 0) byHash.delete(old)
        if (fresh !== undefined) byHash.set(fresh, (byHash.get(fresh) ?? new Set()).add(key))
      }
      for (const sharer of new Set([key, ...(byHash.get(fresh ?? '') ?? [])])) review(sharer)
    }),
    users.onChange(({ key }) => {
      const of = key.slice(keys.users.length)
      for (const held of admitted.keys()) if (held.startsWith(`${keys.tokens}${of}/`)) review(held)
    }),
  ]

  const admit = (key: string, token: TokenRecord): Caller | undefined => {
    const user = meaningOf(key)
    if (!user) return undefined
    const end = new AbortController()
    const { expires } = token.spec
    const caller: Caller = { user, token: token.name, revoked: end.signal }
    admitted.set(key, { caller, sha256: token.spec.sha256, meaning: JSON.stringify(user), end, ...(expires === undefined ? {} : { expiresMs: Date.parse(expires) }) })
    if (expires !== undefined) look()
    return caller
  }

  return {
    authenticate(secret) {
      const sharers = byHash.get(sha256(secret))
      const [key] = sharers ?? []
      const token = key === undefined ? undefined : tokens.get(key)
      if (key === undefined || !token || sharers?.size !== 1) return undefined
      if (hasExpired(token, world.now())) {
        endOf(key, 'the token has expired')
        const { code, message, remedy } = refusal(`the token expired on ${token.spec.expires}`)
        fail(code, message, { remedy })
      }
      return admitted.get(key)?.caller ?? admit(key, token)
    },
    [Symbol.dispose]() {
      stopLooking?.()
      for (const stop of stops) stop()
    },
  }
}

/** A time that cannot be read is over: a token is never worth more by being unclear. */
const hasExpired = ({ spec: { expires } }: TokenRecord, nowMs: number) => expires !== undefined && !(Date.parse(expires) > nowMs)

const refusal = (message: string): TtError => new TtError({ code: 'unauthenticated', message, remedy: 'ask whoever runs the server for a new one, or make one with `tt token add`' })
