import { open, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import * as v from 'valibot'
import { randomHex } from '../../../base/world.ts'
import { diskFormatOf } from '../../../model/disk-format.ts'
import { driverOptions } from '../../../model/driver-options.ts'
import type { Call } from '../../../model/call.ts'
import { asTtError, fail } from '../../../model/errors.ts'
import { checkedBase, checkedSize, headOf } from '../volume-base.ts'
import { volumeFiles } from '../volume-files.ts'
import type { VolumeFactory } from '../volume.ts'
import { growOverlay } from './growth.ts'
import { imageProgram } from './image-program.ts'
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
      const grow = (path: string) => growOverlay(path, spec.sizeBytes)
      await files.make(id, { sizeBytes: spec.sizeBytes, owner, fill: (temporary) => write(temporary, spec), sizeOf, grow })
    },
    async attach(id) {
      const path = await files.find(id)
      return { path, format: 'qcow2', sizeBytes: sizeOf(path) }
    },
    async keep(id, file, call) {
      call?.signal?.throwIfAborted()
      await files.keep(id, file, (volume, temporary) => flatten(volume, temporary, { clusterBits, call }))
      return { path: file, format: 'qcow2', sizeBytes: sizeOf(file), readOnly: true }
    },
    destroy: (id) => files.destroy(id),
    list: () => files.list(),
    async [Symbol.asyncDispose]() {},
  }
}

/** What the header says, which is all that is trusted of a volume that a guest had. */
function sizeOf(path: string): number {
  const { format, sizeBytes } = diskFormatOf(headOf(path).head)
  if (format === 'qcow2' && sizeBytes !== undefined) return sizeBytes
  return fail('failed', `the header of the volume ${path} is damaged`, { remedy: `look at it with qemu-img check` })
}

/** Writes volume and base as one. The file is made here, and is the owner's for as long as the owner's program fills it. */
async function flatten(volume: string, to: string, { clusterBits, call }: { clusterBits: number; call?: Call }): Promise<void> {
  await write(to, { sizeBytes: sizeOf(volume), clusterBits })
  await using file = await open(to, 'r+')
  const isRoot = process.getuid?.() === 0
  const { uid, gid } = await stat(volume)
  if (isRoot) await file.chown(uid, gid)
  await imageProgram(volume, ['convert', '-n', '--target-is-zero', '-f', 'qcow2', '-O', 'qcow2', volume, '/dev/fd/3'], { output: file.fd, call })
  if (isRoot) await file.chown(0, 0)
}

async function write(path: string, spec: OverlaySpec): Promise<void> {
  const { pieces, fileBytes } = overlayHeader(spec)
  await using file = await open(path, 'w', 0o600)
  await Promise.all([file.truncate(fileBytes), ...pieces.map(({ offset, bytes }) => file.write(bytes, 0, bytes.length, offset))])
}
