import { fail } from '../model/errors.ts'

/**
 * What a caller expects of a resource, by HTTP's own words: `If-None-Match: *` is "absent", `If-Match: "revision"` is that
 * revision. Anything else is refused, because a precondition that is not understood must not be passed over.
 */
export function expectOf(ifMatch: string | undefined, ifNoneMatch: string | undefined): string | undefined {
  if (ifMatch !== undefined && ifNoneMatch !== undefined) fail('invalid', 'If-Match and If-None-Match exclude each other')
  if (ifNoneMatch !== undefined) {
    if (ifNoneMatch.trim() === '*') return 'absent'
    fail('invalid', 'If-None-Match is understood with * only', { remedy: 'If-None-Match: * means "create only"' })
  }
  if (ifMatch === undefined) return undefined
  const revision = /^\s*"([\x21\x23-\x7e]{1,200})"\s*$/.exec(ifMatch)?.[1]
  if (revision !== undefined && revision !== 'absent') return revision
  fail('invalid', 'If-Match is not one revision in double quotes', { remedy: 'repeat the ETag of an earlier answer: If-Match: "17"' })
}

/** A revision as an entity tag; a revision that HTTP could not carry has none. */
export const tagOf = (revision: string): string | undefined => (/^[\x21\x23-\x7e]{1,200}$/.test(revision) ? `"${revision}"` : undefined)
