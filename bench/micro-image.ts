import { execFileSync } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { root } from './machine.ts'

/** The image the guests of all benches have. */
export interface MicroImage {
  kernel: string
  initrd: string
  disk: string
  diskBytes: number
  cmdline: string
  cpu: number
  memMb: number
  diskMb: number
}

/** The image `micro`, as set-up built it. */
export function microImage(): MicroImage {
  const dir = built()
  const { kernel, initrd, disk, cmdline, defaults } = JSON.parse(readFileSync(join(dir, 'image.json'), 'utf8')) as Manifest
  return { kernel: join(dir, kernel.file), initrd: join(dir, initrd.file), disk: join(dir, disk.file), diskBytes: disk.sizeBytes, cmdline, ...defaults }
}

interface Manifest {
  kernel: { file: string }
  initrd: { file: string }
  disk: { file: string; sizeBytes: number }
  cmdline: string
  defaults: { cpu: number; memMb: number; diskMb: number }
}

/** Servers offer an image once nobody has touched its files for two seconds. */
const settleMs = 2500

/** Waits until servers would offer the image. */
export async function imageSettled(): Promise<void> {
  const age = Date.now() - statSync(join(built(), 'image.json')).ctimeMs
  if (age < settleMs) await sleep(settleMs - age)
}

const built = () => execFileSync('sh', [join(root, 'images/build'), 'micro'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
