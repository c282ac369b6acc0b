import * as v from 'valibot'
import type { Demand } from './expand.ts'

/** What somebody may do: everything; what is theirs; only look, at everybody's. */
export type Role = 'admin' | 'user' | 'viewer'
export const roles = ['admin', 'user', 'viewer'] as const satisfies readonly Role[]

/** What a user may be given beyond the role. */
export type Right = 'longLife' | 'listAll'
export const rights = ['longLife', 'listAll'] as const satisfies readonly Right[]

/** Who is calling, as far as a Cloud cares. Tokens and passwords never come this far. */
export interface User {
  name: string
  role: Role
  rights?: readonly Right[]
  /** Of a viewer: sees no more than what is theirs. So is the viewer's token of an ordinary user: a token narrows, it never widens. */
  ownOnly?: true
  /** What the token they came with says of itself: a token they make may not be worth more or live longer. */
  token?: { role?: Role; expires?: string }
}

/** A caller whose secret was recognised. */
export interface Caller {
  user: User
  /** The token's name, never the token; absent where the secret has none. */
  token?: string
  /** Aborts with the error to answer once the secret is not worth what it was: revoked, expired, or its user removed or changed. */
  revoked?: AbortSignal
}

/** How a request reached a Cloud: for those who write down who did what. */
export interface Origin {
  /** Its id, as in the log and the answer. */
  request: string
  token?: string
}

const whole = (unit: string) => v.pipe(v.number(`a number of ${unit}`), v.integer(`a whole number of ${unit}`), v.minValue(0, `at least 0 ${unit}`), v.maxValue(Number.MAX_SAFE_INTEGER, `fewer ${unit}`))

/** Somebody with an account. The name is the owner of what they make. */
export const UserSpec = v.strictObject({
  role: v.optional(v.picklist(roles, 'admin, user or viewer'), 'user'),
  rights: v.optional(v.pipe(v.array(v.picklist(rights, 'longLife or listAll')), v.maxLength(rights.length)), []),
  /** The most that all their ENVs may ask for together; what is left out has no limit of its own. */
  quota: v.optional(v.strictObject({ cpu: v.optional(whole('cpus')), memMb: v.optional(whole('MB of memory')), diskMb: v.optional(whole('MB of disk')), vms: v.optional(whole('VMs')) }), {}),
  memo: v.optional(v.pipe(v.string(), v.maxLength(1000, 'at most 1000 characters'))),
})
export type UserSpec = v.InferOutput<typeof UserSpec>
export type UserAsked = v.InferInput<typeof UserSpec>

export interface UserStatus {
  envs: number
  used: Demand
}

/**
 * A secret that speaks for a user, named `USER/NAME`. Whoever makes it chooses 256 random bits and tells the cloud only their sha256: nobody can
 * read it anywhere later, the cloud neither.
 */
export const TokenSpec = v.strictObject({
  sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, 'a sha256 in hexadecimal')),
  /** Less than its user's, if anything. */
  role: v.optional(v.picklist(roles, 'admin, user or viewer')),
  expires: v.optional(v.pipe(v.string(), v.isoTimestamp('a time as 2026-01-31T12:00:00Z'))),
})
export type TokenSpec = v.InferOutput<typeof TokenSpec>

export interface TokenStatus {
  expired: boolean
}
