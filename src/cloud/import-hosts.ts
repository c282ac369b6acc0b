import { fail } from '../model/errors.ts'
import { shown } from '../model/names.ts'
import { keys } from '../model/records.ts'
import type { SessionFrame } from '../model/session.ts'
import type { Truth } from './truth.ts'

/** The hosts that are named, each once; refused with `not_found` for one that nobody knows. */
export function namedHosts(truth: Truth, names: readonly string[]): string[] {
  if (names.length === 0) fail('invalid', 'no host is named', { subject: 'import' })
  for (const name of names) if (!truth.hosts.get(keys.host(name))) fail('not_found', `there is no host ${shown(name)}`, { subject: `host/${name}`, remedy: 'see `tt status --server`' })
  return [...new Set(names)]
}

/**
 * What the caller sends goes to all hosts at once, so it is to begin where the one begins that has least of it: the `wants` of `count` hosts become a single one, which names no host and comes once
 * each of them has said its own, or has ended. Each drops what it has.
 */
export function oneWants(count: number): (frames: AsyncIterable<SessionFrame>) => AsyncGenerator<SessionFrame> {
  let silent = count
  let lowest: number | undefined
  const heard = (): SessionFrame[] => (--silent === 0 && lowest !== undefined ? [{ type: 'wants', offset: lowest }] : [])
  return async function* (frames) {
    let said = false
    for await (const frame of frames) {
      if (frame.type !== 'wants') {
        yield frame
        continue
      }
      lowest = Math.min(lowest ?? Infinity, frame.offset)
      if (!said) yield* heard()
      said = true
    }
    if (!said) yield* heard()
  }
}
