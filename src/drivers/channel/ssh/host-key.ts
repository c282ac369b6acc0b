import { join } from 'node:path'
import { readTextNow, writeWhole } from '../../../base/files.ts'
import { TtError } from '../../../model/errors.ts'
import type { Guest } from '../channel.ts'

/** The host key of one guest: kept when it is first seen, and no other is taken after that. */
export interface HostKey {
  /** Of the key that is known, as it is written in keys; undefined before the first sight. */
  readonly type: string | undefined
  /** Whether it is the key; the first is. */
  check(key: Buffer): boolean
  /** What to say of one that is not. */
  refusal(): TtError
}

/** In a file of its own as OpenSSH keeps them, under the guest's id in place of an address, which others had before it and will have after it. */
export async function hostKeyOf(guest: Pick<Guest, 'id' | 'dir'>): Promise<HostKey> {
  const path = join(await guest.dir(), 'known_hosts')
  let known = readTextNow(path)?.split('\n')[0]?.split(' ')
  return {
    get type() {
      return known?.[1]
    },
    check(key) {
      const text = key.toString('base64')
      if (known) return known[2] === text
      known = [guest.id, typeOf(key), text]
      writeWhole(path, `${known.join(' ')}\n`, { durable: true })
      return true
    },
    refusal: () =>
      new TtError({
        code: 'denied',
        message: 'the guest shows another ssh host key than it did before: what answers there may not be the guest',
        remedy: `if its keys were made anew on purpose, remove ${path} on its host`,
      }),
  }
}

/** The type is a text at the key's beginning, after its length. */
const typeOf = (key: Buffer): string => (key.length < 4 ? '' : key.toString('latin1', 4, 4 + Math.min(key.readUInt32BE(0), 64)).replaceAll(/[^a-z0-9@.-]/g, ''))
