import { constants } from 'node:fs'
import { access, stat, statfs } from 'node:fs/promises'
import { isMissing, readTextNow } from '../base/files.ts'
import { reasonOf } from '../model/errors.ts'
import type { Finding } from '../model/session.ts'
import { megabytes } from '../model/units.ts'
import type { Check } from './check.ts'

/** Of a file system, the share that is free: below these it is said. */
const poorShare = 0.15
const badShare = 0.05

/** Room in the directories of data and images; those on one file system are one finding. */
export const space: Check = async ({ dataDir, imageDirs, cacheDir }) => {
  const byDevice = new Map<number, string[]>()
  for (const dir of new Set([dataDir, cacheDir, ...imageDirs()])) {
    const facts = await stat(dir).catch((fault: unknown) => (isMissing(fault) ? undefined : Promise.reject(fault)))
    if (facts) byDevice.set(facts.dev, [...(byDevice.get(facts.dev) ?? []), dir])
  }
  return [...(await Promise.all([...byDevice.values()].map(roomOf))), ...(await writable(dataDir))]
}

async function roomOf(dirs: string[]): Promise<Finding> {
  const [first = '/'] = dirs
  const { bavail, blocks, bsize, ffree, files } = await statfs(first)
  const where = dirs.join(', ')
  // Some file systems have no number of files to run out of, and say 0.
  const share = Math.min(blocks === 0 ? 1 : bavail / blocks, files === 0 ? 1 : ffree / files)
  const isFiles = blocks !== 0 && bavail / blocks > share
  const text = isFiles ? `${ffree} of ${files} files` : `${megabytes(Math.floor((bavail * bsize) / 2 ** 20))} of ${megabytes(Math.floor((blocks * bsize) / 2 ** 20))}`
  const message = `${text} free for ${where}`
  if (share >= poorShare) return { check: 'space', state: 'good', message }
  return { check: 'space', state: share < badShare ? 'bad' : 'poor', message, remedy: 'delete ENVs or images, or give it a larger file system; VMs whose disk cannot grow stop' }
}

/** A file system that can only be read, as after a fault of the disk. */
const writable = (dir: string): Promise<Finding[]> =>
  access(dir, constants.W_OK).then(
    () => [],
    (fault: unknown) => [{ check: 'space', state: 'bad' as const, message: `${dir} cannot be written: ${reasonOf(fault)}`, remedy: 'look for disk errors in the kernel log, then mount it writable again' }],
  )

/** Public ports that are given, and programs of others that listen on such ports. */
export const ports: Check = async ({ links, portFrom, portTo }) => {
  const total = portTo - portFrom + 1
  const given = new Set(links().flatMap((link) => Object.values(link.ports)))
  const message = `${given.size} of ${total} public ports (${portFrom} to ${portTo}) are given to VMs`
  const share = given.size / total
  const remedy = 'delete ENVs, or start the server with a larger --port-range'
  const range: Finding = { check: 'ports', message, ...(share >= 1 ? { state: 'bad', remedy } : share > 0.9 ? { state: 'poor', remedy } : { state: 'good' }) }
  const strange = listening().filter((port) => port >= portFrom && port <= portTo && !given.has(port))
  if (strange.length === 0) return [range]
  return [range, { check: 'ports', state: 'poor', message: `other programs listen on public ports that VMs may be given: ${strange.slice(0, 10).join(', ')}`, remedy: 'end these programs, or start the server with another --port-range' }]
}

/** TCP ports somebody listens on here: https://docs.kernel.org/networking/proc_net_tcp.html */
function listening(): number[] {
  const lines = ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((file) => (readTextNow(file) ?? '').split('\n').slice(1))
  const found = lines.flatMap((line) => {
    const [, local = '', , state] = line.trim().split(/\s+/)
    return state === '0A' ? [Number.parseInt(local.slice(local.lastIndexOf(':') + 1), 16)] : []
  })
  return [...new Set(found)].sort((a, b) => a - b)
}
