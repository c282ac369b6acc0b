import type { EnvAsked } from '../model/env.ts'
import { fail } from '../model/errors.ts'
import type { Resource } from '../model/kinds.ts'
import type { User } from '../model/user.ts'

/**
 * Refuses a life that is not the user's to give: without an end, or longer than the cloud's limit. What an admin has given an ENV stays; it
 * may be made shorter, not longer.
 */
export function checkEnvRights({ rights }: User, asked: EnvAsked, { name, there }: { name: string; there?: Resource<'env'> }): void {
  if (rights?.includes('longLife')) return
  const subject = `env/${name}`
  const { lifetimeSeconds: seconds, longLife } = asked
  const before = there?.spec
  if (seconds === null && before?.lifetimeSeconds !== null) fail('denied', 'you may not make an ENV without an end', { subject, remedy: 'give it a life time, or ask an admin for the right longLife' })
  if (longLife !== true) return
  const longer = before?.lifetimeSeconds !== null && seconds !== null && (seconds ?? 0) > (before?.lifetimeSeconds ?? 0)
  if (before?.longLife !== true || longer) fail('denied', 'you may not give an ENV a longer life than the limit', { subject, remedy: 'leave longLife out, or ask an admin for the right longLife' })
}
