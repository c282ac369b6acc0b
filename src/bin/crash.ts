import type { CrashPoint } from '../base/effects.ts'

/**
 * `TT_CRASH_AT=17:before` kills this process right before its 17th effect, `17:after` right after: how a test ends a server on either side of every
 * effect there is. Undefined without the variable.
 */
export function crashAt(text: string | undefined): CrashPoint | undefined {
  const parts = /^(\d+):(before|after)$/.exec(text ?? '')
  if (!parts) return undefined
  return (at, side) => {
    if (at === Number(parts[1]) && side === parts[2]) process.kill(process.pid, 'SIGKILL')
  }
}
