import type { FileHandle } from 'node:fs/promises'
import { run, type Ran } from '../base/run.ts'
import type { World } from '../base/world.ts'
import type { Call } from '../model/call.ts'
import { fail } from '../model/errors.ts'
import type { DiskKind } from './import-formats.ts'

/**
 * A disk from a stranger, read by `qemu-img` alone and where it can do no harm: as a user who owns nothing but these two files, in a network of its own without any device,
 * with bounds on its memory, its time and what it writes, told the format and never another file. Whatever a VM starts from is written by our own
 * `qemu-img`: no header or table of the stranger's gets further than this.
 */
export interface Conversion {
  source: FileHandle
  kind: DiskKind
  /** Empty and open for reading and writing; becomes qcow2. */
  target: FileHandle
  /** Whose rights it runs with; undefined where the server may not change users. */
  uid?: number
  /** The largest disk that is taken, as its guest sees it. */
  diskLimitBytes: number
  /** How much may be written now. */
  room(): Promise<number>
  /** How far it is, now and then. */
  onBytes(done: number, total: number): void
  subject: string
  world: World
}

/** Rejects with `invalid` for a disk that is not sound, `too_large` and `exhausted` for one that does not fit. Gives its size as its guest will see it. */
export async function convert(conversion: Conversion, call?: Call): Promise<{ sizeBytes: number }> {
  const { source, target, uid, subject, diskLimitBytes } = conversion
  const owned = async (owner: number) => {
    if (uid !== undefined) for (const file of [source, target]) await file.chown(owner, owner)
  }
  await owned(uid ?? 0)
  try {
    const { sizeBytes } = await examined(conversion, call)
    if (sizeBytes > diskLimitBytes) fail('too_large', `its guest would see ${gigabytes(sizeBytes)}, at most ${gigabytes(diskLimitBytes)} are taken here`, { subject, remedy: 'a VM could never be made of it; offer more by --disk-total, or make the disk smaller' })
    const neededBytes = await measured(conversion, call)
    const room = await conversion.room()
    if (neededBytes > room) fail('exhausted', `it takes ${gigabytes(neededBytes)} once converted, and there is room for ${gigabytes(room)}`, { subject, remedy: "free space where the server's data directory lies; what was fetched is kept for a day" })
    await written(conversion, { sizeBytes, neededBytes, room }, call)
    return { sizeBytes }
  } finally {
    await owned(0)
  }
}

/** What `qemu-img` itself makes of it, which must be what its header said, and whether it is whole. */
async function examined(conversion: Conversion, call?: Call): Promise<{ sizeBytes: number }> {
  const { kind, subject } = conversion
  const info = jsonOf(await confined(conversion, ['info', '--output=json', sourceName(kind)], { cpuSeconds: 60, writtenBytes: 0 }, call), 'opened', subject)
  const { 'virtual-size': sizeBytes, 'backing-filename': backing, encrypted } = info
  if (info['format'] !== kind || backing !== undefined || encrypted === true) fail('invalid', `it cannot be imported: it is not what its header says`, { subject })
  if (typeof sizeBytes !== 'number' || !Number.isSafeInteger(sizeBytes) || sizeBytes < 512) return fail('invalid', `it cannot be imported: its guest would see ${String(sizeBytes)} bytes`, { subject })
  if (kind === 'raw') return { sizeBytes }
  const checked = await confined(conversion, ['check', '--output=json', sourceName(kind)], { cpuSeconds: 600, writtenBytes: 0 }, call)
  // 3: clusters that nothing uses, which do no harm; 63: nothing to check in this format.
  if (checked.code !== 0 && checked.code !== 3 && checked.code !== 63) fail('invalid', `it cannot be imported: its tables are damaged${wordsOf(checked)}`, { subject, remedy: 'see that it came through whole, or repair it: `qemu-img check -r all DISK`' })
  return { sizeBytes }
}

/** How many bytes it will take, at most. */
async function measured(conversion: Conversion, call?: Call): Promise<number> {
  const { required } = jsonOf(await confined(conversion, ['measure', '--output=json', '-O', 'qcow2', sourceName(conversion.kind)], { cpuSeconds: 600, writtenBytes: 0 }, call), 'read', conversion.subject)
  return typeof required === 'number' && Number.isSafeInteger(required) ? required : fail('failed', 'qemu-img did not say how large the disk becomes', { subject: conversion.subject })
}

const polledEveryMs = 500

async function written(conversion: Conversion, { sizeBytes, neededBytes, room }: { sizeBytes: number; neededBytes: number; room: number }, call?: Call): Promise<void> {
  const { kind, target, onBytes, subject, world } = conversion
  const tell = async () => onBytes(Math.min(((await target.stat()).blocks || 0) * 512, neededBytes), neededBytes)
  const over = new AbortController()
  const telling = (async () => {
    while (!over.signal.aborted) {
      await tell()
      await world.sleep(polledEveryMs, over.signal)
    }
  })().catch(() => undefined)
  try {
    // Tables and what is written beyond the need of a moment: a sixteenth, as in the smallest clusters.
    const writtenBytes = Math.min(room, Math.ceil(sizeBytes * 1.0625) + (64 << 20))
    const cpuSeconds = 900 + Math.ceil(sizeBytes / (10 << 20))
    const ran = await confined(conversion, ['convert', '-O', 'qcow2', '-o', 'compat=1.1', sourceName(kind), targetName], { cpuSeconds, writtenBytes }, call)
    if (ran.code === 0) return await target.sync()
    const isTooLong = ran.signal === 'SIGXFSZ' || /File too large/.test(ran.stderr)
    if (/No space left/.test(ran.stderr) || (isTooLong && writtenBytes === room)) fail('exhausted', "the host's disk is full", { subject, remedy: "free space where the server's data directory lies; what was fetched is kept for a day" })
    fail('invalid', `it cannot be imported: it cannot be read to its end${wordsOf(ran)}`, { subject, remedy: 'see that it came through whole: give its --sha256' })
  } finally {
    over.abort()
    await telling
  }
}

/** Descriptors 3 and 4: it is told no path, so it needs to reach none. */
const targetName = '/dev/fd/4'
const sourceName = (kind: DiskKind) => `json:${JSON.stringify({ driver: kind, ...(kind === 'qcow2' || kind === 'vmdk' ? { backing: null } : {}), file: { driver: 'file', filename: '/dev/fd/3' } })}`

/** More than the largest tables that are taken need, with the threads that read ahead. */
const memoryBytes = 2 ** 31
const wallFactor = 4

interface Bounds {
  cpuSeconds: number
  writtenBytes: number
}

async function confined({ source, target, uid, subject }: Conversion, args: string[], { cpuSeconds, writtenBytes }: Bounds, call?: Call): Promise<Ran> {
  const apart = uid === undefined || !(await networkApart()) ? [] : ['unshare', '--net', '--ipc', '--']
  const bounds = ['prlimit', `--as=${memoryBytes}`, `--cpu=${cpuSeconds}`, `--fsize=${writtenBytes}`, '--nofile=64', '--core=0']
  const rights = ['setpriv', ...(uid === undefined ? [] : ['--reuid', String(uid), '--regid', String(uid), '--clear-groups', '--inh-caps=-all', '--bounding-set=-all']), '--no-new-privs', '--pdeathsig', 'KILL', '--']
  const ran = await run(['nice', '-n', '10', ...apart, ...bounds, ...rights, 'qemu-img', ...args], {
    fds: [source.fd, target.fd],
    env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
    outputLimitBytes: 4 << 20,
    timeoutMs: cpuSeconds * wallFactor * 1000,
    signal: call?.signal,
  })
  // As shells say it: 126 for a program that cannot be run, 127 for one that is not there.
  if (ran.code === 126 || ran.code === 127) fail('unsupported', `disks cannot be imported on this host${wordsOf(ran)}`, { subject, remedy: 'install qemu-img there: `apt install qemu-utils`' })
  return ran
}

let apart: Promise<boolean> | undefined
/** A container may keep even root from making namespaces; the rest holds there too. */
const networkApart = (): Promise<boolean> =>
  (apart ??= run(['unshare', '--net', '--ipc', 'true']).then(
    ({ code }) => code === 0,
    () => false,
  ))

function jsonOf(ran: Ran, verb: string, subject: string): Record<string, unknown> {
  if (ran.code !== 0) fail('invalid', `it cannot be imported: it cannot be ${verb}${wordsOf(ran)}`, { subject, remedy: 'see that it came through whole: give its --sha256' })
  return JSON.parse(ran.stdout) as Record<string, unknown>
}

/** Its last words, without the name by which it was told the disk. */
function wordsOf({ code, signal, stderr }: Ran): string {
  const last = stderr.trim().split('\n').at(-1) ?? ''
  const words = last.replace(/^qemu-img: /, '').replace(/(Could not open )?'?json:\{[^']*\}'?: ?/, '').slice(0, 300)
  return words === '' ? ` (qemu-img ended with ${code ?? signal})` : `: ${words}`
}

export const gigabytes = (bytes: number): string => (bytes < 1 << 30 ? `${Math.ceil(bytes / (1 << 20))} MB` : `${(bytes / 2 ** 30).toFixed(1)} GB`)
