import { linkBook } from '../book.ts'
import type { Link } from '../network.ts'
import { readMachine } from './machine.ts'
import { ipOfTap } from './names.ts'
import type { Realm } from './ruleset.ts'
import { shapeOf, wholeOf } from './shape.ts'

type Leak = { kind: 'tap' | 'bridge' | 'nft'; subject: string; why: string }

/** What carries the mark and belongs to none of these links, as the machine itself shows it. */
export async function findLeaks(realm: Realm, owned: readonly Link[]): Promise<Leak[]> {
  const { mark, subnet } = realm
  const is = await readMachine(mark)
  const wanted = shapeOf(realm, wholeOf(linkBook(subnet, owned)))
  const leaks: Leak[] = []
  for (const name of is.taps.keys())
    if (!wanted.taps.has(name)) leaks.push({ kind: 'tap', subject: name, why: `no VM has the address ${ipOfTap(mark, name) ?? 'it is named after'}` })
  for (const [name, { address }] of is.bridges)
    if (!wanted.bridges.has(name)) leaks.push({ kind: 'bridge', subject: name, why: `no VM is behind the gateway ${address === '' ? 'it is named after' : address}` })
  for (const name of is.strangers) leaks.push({ kind: 'tap', subject: name, why: 'it has our mark and is neither a tap nor a bridge of a VM' })
  for (const [key, text] of is.elements)
    if (wanted.elements.get(key) !== text) leaks.push({ kind: 'nft', subject: key, why: `no VM explains the element ${text}` })
  for (const table of is.strangeTables) leaks.push({ kind: 'nft', subject: table, why: 'it has our mark and is no table of ours' })
  if (is.alien) leaks.push({ kind: 'nft', subject: is.tables.join(', '), why: 'it holds a chain or a set that is not ours' })
  return leaks
}
