import { open, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import * as v from 'valibot'
import { randomHex } from '../../../base/world.ts'
import { diskFormatOf } from '../../../model/disk-format.ts'
import { driverOptions } from '../../../model/driver-options.ts'
import { asTtError, fail } from '../../../model/errors.ts'
import { checkedBase, checkedSize, headOf } from '../volume-base.ts'
import { volumeFiles } from '../volume-files.ts'
import type { VolumeFactory } from '../volume.ts'
import { type OverlaySpec, overlayHeader } from './overlay.ts'

const Options = v.strictObject({
  /** 2 to this power is the unit of allocation: small ones keep a volume small, large ones its tables. */
  clusterBits: v.optional(v.pipe(v.number('16 to 21'), v.integer('16 to 21'), v.minValue(16, '16 to 21'), v.maxValue(21, '16 to 21')), 16),
})

/** Volumes as qcow2 overlays on their base, made without `qemu-img`: works on every file system and for raw and qcow2 bases. */
export const qcow2: VolumeFactory = async (home, options) => {
  const { clusterBits } = driverOptions('volume qcow2', Options, options)
  const dir = resolve(home.dir)
  const files = volumeFiles({ ...home, dir }, '.qcow2')
  return {
    features: { format: 'qcow2', clone: false, snapshot: false },
    async probe() {
      const path = join(dir, `probe-${randomHex(home.world, 4)}.new`)
      try {
        await home.effects.act({ kind: 'file', verb: 'make', subject: path }, () => write(path, { sizeBytes: 1 << 20, clusterBits }))
        const { sizeBytes } = diskFormatOf(headOf(path).head)
        return sizeBytes === 1 << 20 ? { usable: true, version: '3' } : { usable: false, why: `${dir} does not keep what is written to it` }
      } catch (fault) {
        return { usable: false, why: asTtError(fault).message }
      } finally {
        await rm(path, { force: true })
      }
    },
    async create(id, { base, sizeBytes, owner }, call) {
      call?.signal?.throwIfAborted()
      const found = base && checkedBase(base, owner)
      const spec = { sizeBytes: checkedSize(id, sizeBytes, found?.sizeBytes), backing: found, clusterBits }
      await files.make(id, owner, (temporary) => write(temporary, spec))
    },
    async attach(id) {
      const path = await files.find(id)
      const { format, sizeBytes } = diskFormatOf(headOf(path).head)
      if (format === 'qcow2' && sizeBytes !== undefined) return { path, format, sizeBytes }
      return fail('failed', `the header of volume ${id} is damaged`, { subject: `volume/${id}`, remedy: `look at ${path} with qemu-img check` })
    },
    destroy: (id) => files.destroy(id),
    list: () => files.list(),
    async [Symbol.asyncDispose]() {},
  }
}

async function write(path: string, spec: OverlaySpec): Promise<void> {
  const { pieces, fileBytes } = overlayHeader(spec)
  await using file = await open(path, 'w', 0o600)
  await Promise.all([file.truncate(fileBytes), ...pieces.map(({ offset, bytes }) => file.write(bytes, 0, bytes.length, offset))])
}
