import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync } from 'node:fs'
import { isMissing, writeWhole } from '../../../base/files.ts'

/** How much of a guest's serial output is kept unless the settings say otherwise. */
export const keptBytesByDefault = 1 << 20

/**
 * Keeps a log from growing: once it is larger than `keepBytes` its newest part moves to `FILE.1` and the file, which QEMU goes on appending to,
 * is emptied in place. What is written in between the two is lost.
 */
export function cutLog(file: string, keepBytes: number): void {
  const fd = opened(file, constants.O_RDWR)
  if (fd === undefined) return
  try {
    if (fstatSync(fd).size <= keepBytes) return
    writeWhole(`${file}.1`, tailOf(fd, keepBytes))
    ftruncateSync(fd, 0)
  } finally {
    closeSync(fd)
  }
}

/** The newest `limitBytes` of what a log kept by `cutLog` holds; undefined if there is none. */
export function readLog(file: string, limitBytes: number): Uint8Array | undefined {
  const newest = readTail(file, limitBytes)
  if (!newest || newest.length >= limitBytes) return newest
  const older = readTail(`${file}.1`, limitBytes - newest.length)
  return older ? Buffer.concat([older, newest]) : newest
}

function readTail(file: string, limitBytes: number): Buffer | undefined {
  const fd = opened(file, constants.O_RDONLY)
  if (fd === undefined) return undefined
  try {
    return tailOf(fd, limitBytes)
  } finally {
    closeSync(fd)
  }
}

function tailOf(fd: number, limitBytes: number): Buffer {
  const { size } = fstatSync(fd)
  const bytes = Buffer.alloc(Math.min(size, limitBytes))
  let have = 0
  while (have < bytes.length) {
    const got = readSync(fd, bytes, have, bytes.length - have, size - bytes.length + have)
    if (got === 0) break // It was cut while we read.
    have += got
  }
  return bytes.subarray(0, have)
}

function opened(file: string, flags: number): number | undefined {
  try {
    return openSync(file, flags | constants.O_NOFOLLOW)
  } catch (fault) {
    if (isMissing(fault)) return undefined
    throw fault
  }
}
