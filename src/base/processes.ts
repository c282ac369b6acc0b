import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import type { Effects } from './effects.ts'
import { hasErrno } from './files.ts'
import type { World } from './world.ts'

/** One process for as long as the machine is up: pids are used again, a pid with its start time is not. */
export interface ProcessId {
  pid: number
  /** Clock ticks since boot: field 22 of `/proc/PID/stat`. */
  startTime: number
}

/** The process that has this pid now, or undefined if there is none or it only waits for its parent to look at it. */
export function processOf(pid: number): ProcessId | undefined {
  const stat = readOf(pid, 'stat')
  if (stat === undefined) return undefined
  // Its name, in parentheses, may hold anything: count from the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const state = fields[0]
  return state === 'Z' || state === 'X' ? undefined : { pid, startTime: Number(fields[19]) }
}

/** Whether that very process still runs. */
export const isAlive = ({ pid, startTime }: ProcessId): boolean => processOf(pid)?.startTime === startTime

/** Its arguments; empty for a kernel thread, undefined if it is gone. */
export function argvOf(pid: number): string[] | undefined {
  const line = readOf(pid, 'cmdline')
  return line === undefined ? undefined : line.split('\0').slice(0, -1)
}

/** Every living process with `text` in one of its arguments, found in `/proc` alone. */
export function processesWith(text: string): (ProcessId & { argv: string[] })[] {
  return readdirSync('/proc').flatMap((name) => {
    const pid = Number(name)
    if (!Number.isInteger(pid) || pid === process.pid) return []
    if (!readOf(pid, 'cmdline')?.includes(text)) return []
    const found = processOf(pid)
    return found ? [{ ...found, argv: argvOf(pid) ?? [] }] : []
  })
}

/** Sends the signal to that very process; false if it is gone. Looks again right before, so a pid that was used anew is not hit. */
export function signalProcess(target: ProcessId, signal: NodeJS.Signals, effects: Effects): boolean {
  return effects.act({ kind: 'process', verb: signal === 'SIGKILL' ? 'remove' : 'change', subject: String(target.pid) }, () => {
    if (!isAlive(target)) return false
    try {
      process.kill(target.pid, signal)
      return true
    } catch (fault) {
      if (hasErrno(fault, 'ESRCH')) return false
      throw fault
    }
  })
}

/** Waits until the process is gone; false if it still runs after `timeoutMs`. For processes that are not children: those tell by themselves. */
export async function ended(target: ProcessId, timeoutMs: number, { world, signal }: { world: World; signal?: AbortSignal }): Promise<boolean> {
  const end = world.ticks() + timeoutMs
  for (let waitMs = 1; isAlive(target); waitMs = Math.min(waitMs * 2, 20)) {
    if (world.ticks() >= end) return false
    await world.sleep(Math.min(waitMs, Math.max(1, end - world.ticks())), signal)
  }
  return true
}

export interface DetachedOptions {
  /** The whole environment. */
  env: NodeJS.ProcessEnv
  /** Open file for its standard output and error. */
  outputFd: number
  /** In a session of its own, for a program that does not see to that itself. */
  ownSession?: true
}

export interface Detached {
  /** Undefined if it could not be started; `ended` says why. */
  pid: number | undefined
  /** How it ended, in words; never rejects. Tells only while this server lives: the process outlives it. */
  ended: Promise<string>
  /** Why it could not be started; never settles if it could. */
  fault: Promise<Error>
}

/** Starts a program that outlives this one. The caller does it inside an effect. */
export function spawnDetached(argv: readonly [string, ...string[]], { env, outputFd, ownSession }: DetachedOptions): Detached {
  const [program, ...args] = argv
  const child = spawn(program, args, { env, detached: ownSession, stdio: ['ignore', outputFd, outputFd] })
  child.unref()
  const { promise, resolve } = Promise.withResolvers<string>()
  const { promise: fault, resolve: failed } = Promise.withResolvers<Error>()
  child.once('error', (error) => {
    resolve(error.message)
    failed(error)
  })
  child.once('exit', (code, signal) => resolve(signal ? `it was ended by ${signal}` : `it ended with status ${code}`))
  return { pid: child.pid, ended: promise, fault }
}

function readOf(pid: number, file: 'stat' | 'cmdline'): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch (fault) {
    if (hasErrno(fault, 'ENOENT') || hasErrno(fault, 'ESRCH') || hasErrno(fault, 'EACCES')) return undefined
    throw fault
  }
}
