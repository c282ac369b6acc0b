import type { PutOptions } from '../model/cloud.ts'
import { fail } from '../model/errors.ts'
import type { Kind } from '../model/kinds.ts'

/** Refuses a put whose caller expects another state than there is. */
export function checkRevision(seen: { revision: number } | undefined, { expect }: Pick<PutOptions<Kind>, 'expect'>, { subject, label }: { subject: string; label: string }): void {
  if (expect === undefined) return
  if (expect === 'absent') {
    if (seen) fail('exists', `there is a ${label} already`, { subject, remedy: 'choose another name' })
    return
  }
  if (!seen) fail('not_found', `there is no ${label}`, { subject })
  if (expect !== String(seen.revision)) fail('conflict', `${label} was changed meanwhile`, { subject, remedy: 'read it again and repeat the change' })
}

/** Refuses a uid that is none. */
export function checkUid(uid: string | undefined, subject: string): void {
  if (uid !== undefined && !/^[a-z0-9]{4,32}$/.test(uid)) fail('invalid', 'a uid is 4 to 32 of a-z and 0-9', { subject })
}
