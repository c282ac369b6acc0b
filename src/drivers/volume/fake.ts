import { rename, truncate, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import * as v from 'valibot'
import { appendMap } from '../../base/append-map.ts'
import { driverOptions } from '../../model/driver-options.ts'
import { fail } from '../../model/errors.ts'
import { isGrowth } from './growth.ts'
import { checkedSize } from './volume-base.ts'
import { checkedId } from './volume-files.ts'
import type { VolumeFactory } from './volume.ts'

/** Volumes that are only remembered, all in one file: for the engine `fake`. Their Disks have paths where nothing is, and a base is taken at its word. */
export const fake: VolumeFactory = async (home, options) => {
  driverOptions('volume fake', v.strictObject({}), options)
  const dir = resolve(home.dir)
  const file = join(dir, 'volumes')
  const sizes = appendMap<{ sizeBytes: number }>(file, (write) => home.effects.act({ kind: 'file', verb: 'change', subject: file }, write))
  const find = (id: string) => sizes.get(checkedId(id)) ?? fail('not_found', `there is no volume ${id}`, { subject: `volume/${id}` })
  return {
    features: { format: 'raw', clone: false, snapshot: false },
    probe: async () => ({ usable: true, version: '1' }),
    async create(id, { base, sizeBytes }, call) {
      call?.signal?.throwIfAborted()
      const wholeBytes = checkedSize(checkedId(id), sizeBytes, base?.sizeBytes)
      const known = sizes.get(id)
      if (!known || isGrowth(id, known.sizeBytes, wholeBytes)) await sizes.put(id, { sizeBytes: wholeBytes })
    },
    attach: async (id) => ({ path: join(dir, `${id}.raw`), format: 'raw', sizeBytes: find(id).sizeBytes }),
    async keep(id, file, call) {
      call?.signal?.throwIfAborted()
      const { sizeBytes } = find(id)
      // A disk of zeros: as much as there ever was of it.
      await home.effects.act({ kind: 'file', verb: 'make', subject: file }, async () => {
        await writeFile(`${file}.new`, '', { mode: 0o600 })
        await truncate(`${file}.new`, sizeBytes)
        await rename(`${file}.new`, file)
      })
      return { path: file, format: 'raw', sizeBytes, readOnly: true }
    },
    destroy: (id) => sizes.delete(id),
    list: async () => sizes.keys(),
    async [Symbol.asyncDispose]() {
      sizes[Symbol.dispose]()
    },
  }
}
