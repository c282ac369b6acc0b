import { join } from 'node:path'
import { appendMap } from '../../base/append-map.ts'
import type { Call } from '../../model/call.ts'
import type { Nic } from '../../model/plan.ts'
import type { DriverHome } from '../engine/engine.ts'
import { type Change, linkBook } from './book.ts'
import type { Link, NetworkDriver } from './network.ts'

export interface Remembering {
  subnet: string
  nicOf(link: Link): Nic
  /** Refuses links that are new or other than they were, for a reason of its own. `ports` are the public ones that come with the change. */
  admit?(put: readonly Link[], ports: readonly number[], call?: Call): Promise<void>
}

/** The verbs of a driver that makes nothing on the machine: its links are remembered, all in one file. */
export function rememberedLinks(home: DriverHome, { subnet, nicOf, admit }: Remembering): Pick<NetworkDriver, 'change' | 'reconcile' | 'inspect' | 'clear'> & Disposable {
  const file = join(home.dir, 'links')
  const held = appendMap<Link>(file, (write) => home.effects.act({ kind: 'file', verb: 'change', subject: file }, write))
  const reread = () => linkBook(subnet, [...held.keys()].flatMap((id) => held.get(id) ?? []))
  let book = reread()

  const change = async (wish: Change, call?: Call): Promise<Nic[]> => {
    call?.signal?.throwIfAborted()
    book.check(wish)
    if (admit) {
      const put = wish.put.filter((link) => !book.has(link))
      const had = new Set(put.flatMap(({ id }) => Object.values(book.get(id)?.ports ?? {})))
      await admit(put, put.flatMap(({ ports }) => Object.values(ports)).filter((port) => !had.has(port)), call)
      book.check(wish) // Another change may have come in between.
    }
    const put = wish.put.filter((link) => !book.has(link))
    const nics = wish.put.map(nicOf)
    book.apply({ put, remove: wish.remove })
    try {
      // All that is written in one turn is one write.
      await Promise.all([...put.map((link) => held.put(link.id, structuredClone(link))), ...wish.remove.map((id) => held.delete(id))])
    } catch (fault) {
      book = reread()
      throw fault
    }
    return nics
  }

  return {
    change,
    reconcile: (all, call) => {
      const wanted = new Set(all.map(({ id }) => id))
      return change({ put: all, remove: held.keys().filter((id) => !wanted.has(id)) }, call)
    },
    inspect: async () => held.keys(),
    async clear(call) {
      await change({ put: [], remove: held.keys() }, call)
    },
    [Symbol.dispose]: () => held[Symbol.dispose](),
  }
}
