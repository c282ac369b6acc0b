import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'
import { join } from 'node:path'

export const root = join(import.meta.dirname, '..')

/** More load than this and a number says as much about the neighbours as about us. */
export const noisyLoad = 3

export const loadNow = (): number => loadavg()[0] ?? 0

export interface Versions {
  commit: string
  /** Files differ from the commit. */
  changed: boolean
  tt: string
  node: string
  kernel: string
  qemu: string
  nft: string
  ssh: string
}

export interface Hardware {
  cpu: string
  cores: number
  memoryMb: number
}

export const hardware = (): Hardware => ({ cpu: cpus()[0]?.model ?? 'unknown', cores: availableParallelism(), memoryMb: Math.round(totalmem() / 2 ** 20) })

export function versions(): Versions {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  return {
    commit: saidBy(['git', '-C', root, 'rev-parse', 'HEAD']),
    changed: saidBy(['git', '-C', root, 'status', '--porcelain']) !== '',
    tt: version,
    node: process.version,
    kernel: release(),
    qemu: /version ([\d.]+)/.exec(saidBy(['qemu-system-x86_64', '--version']))?.[1] ?? 'none',
    nft: /v([\d.]+)/.exec(saidBy(['nft', '--version']))?.[1] ?? 'none',
    ssh: saidBy(['sh', '-c', 'ssh -V 2>&1']),
  }
}

function saidBy([program = '', ...args]: string[]): string {
  try {
    return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return 'unknown'
  }
}
