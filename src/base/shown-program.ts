import { spawn } from 'node:child_process'

/** Runs a program that says what it says where this process does, to its end or the signal's; gives its exit status. Rejects if it cannot be started. */
export function runShown([program, ...args]: readonly [string, ...string[]], signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit'], signal })
    child.once('exit', (code) => resolve(code ?? 1))
    child.once('error', (fault) => (signal.aborted ? resolve(1) : reject(fault)))
  })
}
