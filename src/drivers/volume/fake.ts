import { join, resolve } from 'node:path'
import * as v from 'valibot'
import { appendMap } from '../../base/append-map.ts'
import { driverOptions } from '../../model/driver-options.ts'
import { fail } from '../../model/errors.ts'
import { checkedSize } from './volume-base.ts'
import { checkedId } from './volume-files.ts'
import type { VolumeFactory } from './volume.ts'

/** Volumes that are only remembered, all in one file: for the engine `fake`. Their Disks have paths where nothing is, and a base is taken at its word. */
export const fake: VolumeFactory = async (home, options) => {
  driverOptions('volume fake', v.strictObject({}), options)
  const dir = resolve(home.dir)
  const file = join(dir, 'volumes')
  const sizes = appendMap<{ sizeBytes: number }>(file, (write) => home.effects.act({ kind: 'file', verb: 'change', subject: file }, write))
  return {
    features: { format: 'raw', clone: false, snapshot: false },
    probe: async () => ({ usable: true, version: '1' }),
    async create(id, { base, sizeBytes }, call) {
      call?.signal?.throwIfAborted()
      const wholeBytes = checkedSize(checkedId(id), sizeBytes, base?.sizeBytes)
      if (!sizes.get(id)) await sizes.put(id, { sizeBytes: wholeBytes })
    },
    async attach(id) {
      const { sizeBytes } = sizes.get(checkedId(id)) ?? fail('not_found', `there is no volume ${id}`, { subject: `volume/${id}` })
      return { path: join(dir, `${id}.raw`), format: 'raw', sizeBytes }
    },
    destroy: (id) => sizes.delete(id),
    list: async () => sizes.keys(),
    async [Symbol.asyncDispose]() {
      sizes[Symbol.dispose]()
    },
  }
}
