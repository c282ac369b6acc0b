import type { TokenRecord, UserRecord } from '../model/records.ts'
import type { Role, User } from '../model/user.ts'

/** The caller with the token of the data directory: it is always there, and no account of that name can be made. */
export const builtInUser = 'admin'

/** Whom a token speaks for; undefined if its user is gone, also where another has the name since. Whether it has expired is not looked at. */
export function meant({ user: name, userUid, spec }: TokenRecord, user: UserRecord | undefined): User | undefined {
  if (name !== builtInUser && (!user || user.uid !== userUid)) return undefined
  const own = name === builtInUser ? 'admin' : (user?.spec.role ?? 'user')
  const role = narrower(own, spec.role ?? own)
  return {
    name,
    role,
    rights: user?.spec.rights ?? [],
    // A viewer sees everybody's things. A token never shows more than its user sees, nor more than its own role does.
    ...(role === 'viewer' && (own === 'user' || spec.role === 'user') ? { ownOnly: true } : {}),
    token: { ...(spec.role === undefined ? {} : { role: spec.role }), ...(spec.expires === undefined ? {} : { expires: spec.expires }) },
  }
}

/** The role that may change less. */
export const narrower = (one: Role, other: Role): Role => (rank[one] < rank[other] ? one : other)

const rank: Record<Role, number> = { viewer: 0, user: 1, admin: 2 }
