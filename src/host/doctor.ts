import type { SessionFrame } from '../model/session.ts'
import type { CheckGround } from './check.ts'
import { examined } from './checks.ts'
import { findLeaks, type LeakOptions, ownedIds, removeLeaks } from './leaks.ts'

export interface DoctorOptions extends LeakOptions, Omit<CheckGround, 'owned' | 'ownUsers' | 'links' | 'mendNetwork' | keyof LeakOptions> {
  uidOf: (ip: string) => number | undefined
  subnet: string
}

export type Doctor = (options: { fix: boolean }) => AsyncGenerator<SessionFrame>

/** Looks at this machine, the data of its server and what was left behind, and with `fix` mends what can be mended without harm. One at a time: two would undo each other. */
export function doctor(options: DoctorOptions): Doctor {
  const { name, views } = options
  const links = () => options.links.owned().filter(({ id }) => views.wish(id))
  const ground: CheckGround = { ...options, ownUsers: options.uidOf(options.subnet.split('/')[0] ?? '') !== undefined, owned: () => ownedIds(options), links, mendNetwork: options.links.mend }
  let last: Promise<unknown> = Promise.resolve()
  return async function* ({ fix }) {
    const before = last
    const { promise, resolve } = Promise.withResolvers<void>()
    last = promise
    try {
      await before
      for await (const finding of examined(ground, { fix })) yield { type: 'finding', host: name, finding }
      if (!fix) {
        for (const leak of await findLeaks(options)) yield { type: 'leak', host: name, leak }
        return
      }
      const { found, left } = await removeLeaks(options)
      for (const leak of found) yield { type: 'leak', host: name, leak, ...(left.includes(leak) ? {} : { fixed: true }) }
    } finally {
      resolve()
    }
  }
}
