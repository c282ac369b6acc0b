import { createCipheriv } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import type { World } from '../../../base/world.ts'

/**
 * The disk by which pieces of files go into a guest and out of it, half a megabyte at once; the port carries only where they lie, and a tag of each. A transfer has some places of it to itself for as long as it
 * lasts, so none waits for another: where no place is free, or there is no such disk, its bytes go by the port.
 */
export interface Window {
  /** Undefined if all places are taken, or there is no window. */
  lease(): Promise<Lease | undefined>
  /** It did not carry what it was given: it is used no more. */
  distrust(): void
}

/** A transfer's own part of the window. */
export interface Lease extends AsyncDisposable {
  places: readonly number[]
  /** The one-time key of its tags, for the guest. */
  key: Uint8Array
  tag(): Tag
  /** Writes the parts one after another, in one step: each costs the main thread as much as a small part does. */
  write(parts: readonly Uint8Array[], at: number): Promise<void>
  read(at: number, sizeBytes: number): Promise<Buffer>
  /** The guest has ended its part: nobody writes to these places any more. Without it they rest for a while before anyone has them again. */
  settled(): void
}

/** The tag of RFC 8439 over bytes that are only authenticated. It is to notice what goes wrong, and keeps nothing from anybody who knows the key: so one key does for all pieces of a transfer. */
export interface Tag {
  add(bytes: Uint8Array): void
  bytes(): Buffer
}

export const placeBytes = 512 << 10
export const tagBytes = 16
/** Of the disk's start and of its end, where a guest's system looks for partitions, nothing is used. */
const marginBytes = 1 << 20
/** A QEMU that was taken over by its guest can give the file any size. */
const mostBytes = 8 << 20
const placesOfEach = 3
const restMs = 10_000
const algorithm = 'chacha20-poly1305'
const nonce = Buffer.alloc(12)

export function window(path: () => Promise<string | undefined>, world: World): Window {
  let free: number[] | undefined
  let broken = false
  const give = (places: readonly number[]) => free?.push(...places)
  return {
    async lease() {
      if (broken || free?.length === 0) return undefined
      const file = await opened(await path())
      if (!file) return undefined
      const about = await file.stat()
      const size = about.isFile() ? Math.min(about.size, mostBytes) : 0
      // Nothing is waited for from here on: another lease may have been asked for at the same time.
      free ??= placesIn(size)
      const places = free.splice(0, placesOfEach)
      if (places.length > 0) return leaseOf(file, { places, world, give })
      await file.close()
      return undefined
    },
    distrust: () => void (broken = true),
  }
}

function leaseOf(file: FileHandle, { places, world, give }: { places: readonly number[]; world: World; give: (places: readonly number[]) => void }): Lease {
  const secret = world.random(32)
  let isSettled = false
  return {
    places,
    // As the cipher makes it: the first bytes of its stream.
    key: createCipheriv('chacha20', secret, Buffer.alloc(16)).update(Buffer.alloc(32)),
    tag() {
      const cipher = createCipheriv(algorithm, secret, nonce, { authTagLength: tagBytes })
      return {
        add: (bytes) => void cipher.setAAD(bytes, { plaintextLength: 0 }),
        bytes() {
          cipher.final()
          return cipher.getAuthTag()
        },
      }
    },
    async write(parts, at) {
      const bytes = parts.reduce((sum, { length }) => sum + length, 0)
      if ((await file.writev(parts, at)).bytesWritten < bytes) throw new Error('the disk of this host has no room for the window')
    },
    async read(at, sizeBytes) {
      const bytes = Buffer.allocUnsafeSlow(sizeBytes)
      for (let done = 0; done < sizeBytes; ) {
        const { bytesRead } = await file.read(bytes, done, sizeBytes - done, at + done)
        if (bytesRead === 0) throw new Error('the window is shorter than it was')
        done += bytesRead
      }
      return bytes
    },
    settled: () => void (isSettled = true),
    async [Symbol.asyncDispose]() {
      await file.close()
      if (isSettled) give(places)
      else world.after(restMs, () => give(places))
    },
  }
}

/** The engine made it, for itself and for us: neither a link nor anybody else's file. */
const opened = (path: string | undefined): Promise<FileHandle | undefined> => (path === undefined ? Promise.resolve(undefined) : open(path, 'r+').catch(() => undefined))

function placesIn(sizeBytes: number): number[] {
  const places: number[] = []
  for (let at = marginBytes; at + placeBytes <= sizeBytes - marginBytes; at += placeBytes) places.push(at)
  return places
}
