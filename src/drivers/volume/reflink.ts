import { chmod, constants, copyFile, open, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import * as v from 'valibot'
import { hasErrno } from '../../base/files.ts'
import { randomHex } from '../../base/world.ts'
import { driverOptions } from '../../model/driver-options.ts'
import { asTtError, fail, TtError } from '../../model/errors.ts'
import type { Call } from '../../model/call.ts'
import type { Disk } from '../../model/plan.ts'
import { quietly } from './keeping.ts'
import { checkedBase, checkedSize, headOf } from './volume-base.ts'
import { volumeFiles } from './volume-files.ts'
import type { VolumeFactory } from './volume.ts'

/** Volumes as raw files that share their base's blocks until they are written: for btrfs, XFS and whatever else has FICLONE, and bases on the same file system. */
export const reflink: VolumeFactory = async (home, options) => {
  driverOptions('volume reflink', v.strictObject({}), options)
  const dir = resolve(home.dir)
  const files = volumeFiles({ ...home, dir }, '.raw')
  return {
    features: { format: 'raw', clone: false, snapshot: false },
    async probe() {
      const path = join(dir, `probe-${randomHex(home.world, 4)}`)
      const [from, to] = [`${path}.from.new`, `${path}.to.new`]
      const contents = 'shared'.repeat(2000) // More than a file system would keep in the inode.
      const attempt = async () => {
        await writeFile(from, contents)
        await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE)
        return (await readFile(to, 'utf8')) === contents
      }
      try {
        const same = await home.effects.act({ kind: 'file', verb: 'make', subject: to }, attempt)
        return same ? { usable: true, version: 'FICLONE' } : { usable: false, why: `a shared copy in ${dir} is not the same` }
      } catch (fault) {
        return { usable: false, why: cannotShare(fault) ? `the file system of ${dir} cannot share blocks between files; btrfs and XFS can` : asTtError(fault).message }
      } finally {
        await Promise.all([rm(from, { force: true }), rm(to, { force: true })])
      }
    },
    async create(id, { base, sizeBytes, owner }, call) {
      call?.signal?.throwIfAborted()
      const found = base && rawBase(checkedBase(base))
      const wholeBytes = checkedSize(id, sizeBytes, found?.sizeBytes)
      const fill = async (temporary: string) => {
        if (found) await share(found.path, temporary)
        else await (await open(temporary, 'w')).close()
        await chmod(temporary, 0o600) // A copy has the mode of what it copies.
        await truncate(temporary, wholeBytes)
      }
      const sizeOf = (path: string) => headOf(path).fileBytes
      await files.make(id, { sizeBytes: wholeBytes, owner, fill, sizeOf, grow: (path) => truncate(path, wholeBytes) })
    },
    async attach(id) {
      const path = await files.find(id)
      return { path, format: 'raw', sizeBytes: headOf(path).fileBytes }
    },
    async keep(id, file, call) {
      call?.signal?.throwIfAborted()
      await files.keep(id, file, async (volume, temporary) => {
        await share(volume, temporary).catch((fault: unknown) => {
          if (fault instanceof TtError && fault.code === 'unsupported') return copyFilled(volume, temporary, call)
          throw fault
        })
        await chmod(temporary, 0o600)
      })
      return { path: file, format: 'raw', sizeBytes: headOf(file).fileBytes, readOnly: true }
    },
    destroy: (id) => files.destroy(id),
    list: () => files.list(),
    async [Symbol.asyncDispose]() {},
  }
}

function rawBase(base: Disk): Disk {
  if (base.format === 'raw') return base
  return fail('unsupported', `the base disk ${base.path} is ${base.format}, and only raw ones can be shared`, {
    remedy: 'convert it with qemu-img convert -O raw, or use the volume driver qcow2',
  })
}

async function share(from: string, to: string): Promise<void> {
  try {
    await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE)
  } catch (fault) {
    if (!cannotShare(fault)) throw fault
    fail('unsupported', `the blocks of ${from} cannot be shared with ${to}`, {
      remedy: 'keep images and volumes on one file system that can, or use the volume driver qcow2',
      cause: fault,
    })
  }
}

/** For a file of another file system: its bytes, without its holes. */
async function copyFilled(from: string, to: string, call?: Call): Promise<void> {
  const { code, stderr } = await quietly(['cp', '--sparse=always', '--', from, to], { call })
  if (code !== 0) fail('failed', `cp of ${from} failed: ${stderr.slice(-300)}`)
}

const cannotShare = (fault: unknown) => ['ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EXDEV', 'EINVAL', 'ENOTTY'].some((errno) => hasErrno(fault, errno))
