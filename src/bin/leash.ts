import { accessSync, constants } from 'node:fs'
import { basename, join } from 'node:path'
import { readTextNow, removeAll, writeWhole } from '../base/files.ts'
import { argvOf, type ProcessId, processesWith } from '../base/processes.ts'
import type { World } from '../base/world.ts'
import { fail } from '../model/errors.ts'
import { markOf } from './home.ts'
import { builtPath } from './paths.ts'
import { runningServer } from './running.ts'
import type { ServerSettings } from './server-settings.ts'

/**
 * `--on-exit destroy`: the server and all its VMs run on a leash, `native/leash.c`, in namespaces of their own; the process the operator knows is the
 * leash, and the kernel ends everything behind it with it. `leash.json` in the data directory says that the ENVs on record end with that process.
 */

const fileOf = (dataDir: string) => join(dataDir, 'leash.json')

/** The leash this process is on: the outermost process, by its numbers outside. */
export function ownLeash(variables: NodeJS.ProcessEnv): ProcessId | undefined {
  const [pid, startTime] = (variables['TT_LEASH'] ?? '').split(' ').map(Number)
  const isInside = basename(argvOf(1)?.[0] ?? '') === 'leash'
  return isInside && pid !== undefined && startTime !== undefined ? { pid, startTime } : undefined
}

/** Becomes the leash with this very program inside; the process id stays. Returns only by a refusal. */
export async function becomeLeashed(settings: ServerSettings, world: World): Promise<never> {
  const leash = builtPath('native', 'leash')
  try {
    accessSync(leash, constants.X_OK)
  } catch (cause) {
    fail('unavailable', `--on-exit destroy needs ${leash}, which cannot be run`, { subject: 'server', remedy: 'script/setup native makes it', cause })
  }
  await checkNobodyInside(settings, world)
  const [program = '', ...args] = process.argv.slice(1)
  return process.execve?.(leash, [leash, '--', process.execPath, ...process.execArgv, program, ...args], process.env as Record<string, string>) ?? fail('unsupported', 'this Node cannot replace itself by another program', { subject: 'server', remedy: 'use Node 24 or newer' })
}

const dyingMs = 15_000

/** From inside, what runs outside cannot be seen any more: VMs of a life without a leash have to be gone before, those of one that was killed soon are. */
async function checkNobodyInside(settings: ServerSettings, world: World): Promise<void> {
  const { dataDir } = settings
  const running = runningServer(dataDir)
  if (running) fail('conflict', `ttserver runs already (process ${running.pid})`, { subject: 'server', remedy: '`ttserver down` stops it' })
  const mark = markOf(settings.address, settings.port, dataDir)
  const end = world.ticks() + (wasLeashed(dataDir) ? dyingMs : 0)
  for (;;) {
    const left = processesWith(`tt-${mark}-`)
    if (left.length === 0) return
    if (world.ticks() >= end) {
      fail('conflict', `VMs of this server run on since it was started with --on-exit keep: ${left.length === 1 ? '1 process' : `${left.length} processes`}`, {
        subject: 'server',
        remedy: 'start it with --on-exit keep and delete its ENVs, or `ttserver down --destroy`',
      })
    }
    await world.sleep(50)
  }
}

/** Whether the ENVs on record ended with a leash of an earlier life. */
export const wasLeashed = (dataDir: string): boolean => readTextNow(fileOf(dataDir)) !== undefined

/** From now on all ENVs on record end with this leash. */
export const noteLeash = (dataDir: string, leash: ProcessId | undefined): void => writeWhole(fileOf(dataDir), `${JSON.stringify(leash ?? {})}\n`, { durable: true })

/** What is on record from now on outlives the server. */
export const forgetLeash = (dataDir: string): void => removeAll(fileOf(dataDir))
