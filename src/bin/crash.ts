import type { CrashPoint, Effects } from '../base/effects.ts'
import type { Store } from '../store/store.ts'

/**
 * `TT_CRASH_AT=17:before` kills this process right before its 17th effect, `17:after` right after: how a test ends a server on either side of every
 * effect there is, the commits of its store among them. Undefined without the variable.
 */
export function crashAt(text: string | undefined): CrashPoint | undefined {
  const parts = /^(\d+):(before|after)$/.exec(text ?? '')
  if (!parts) return undefined
  return (at, side) => {
    if (at === Number(parts[1]) && side === parts[2]) process.kill(process.pid, 'SIGKILL')
  }
}

/** The store with each commit as an effect: for a server that is to be ended at one. Else commits are none, for they are nothing on the machine to be found again. */
export function countedCommits(store: Store, effects: Effects): Store {
  return {
    ...store,
    commit: (writes, call) => effects.act({ kind: 'store', verb: 'change', subject: writes[0]?.key ?? '' }, () => store.commit(writes, call)),
  }
}
