import { getCallSites } from 'node:util'

/** Severity, least first. */
export const levels = ['debug', 'info', 'warn', 'error'] as const
export type Level = (typeof levels)[number]

/** What the server says about itself: one JSON line each, a message and plain fields. Secrets are never fields. */
export interface Log {
  debug(message: string, fields?: object): void
  info(message: string, fields?: object): void
  warn(message: string, fields?: object): void
  error(message: string, fields?: object): void
  /** The same log with these fields on every line. */
  with(fields: object): Log
}

/** The log of a whole program: all made from it by `with` follow its level and are counted here. */
export interface RootLog extends Log {
  /** The least that is written; may be changed while it is used. */
  level: Level
  /** Lines written, by level. */
  readonly counts: Readonly<Record<Level, number>>
}

interface Sink {
  write(line: string): void
  now(): number
  level: Level
  counts: Record<Level, number>
}

/**
 * A log that writes lines of at least `level` to `write`, the line end included: `at`, `level`, `message`, `place` (file and line in the code that
 * said it), then the fields.
 */
export function jsonLog(write: (line: string) => void, now: () => number, level: Level = 'info'): RootLog {
  const sink: Sink = { write, now, level, counts: { debug: 0, info: 0, warn: 0, error: 0 } }
  return {
    ...logOf(sink, {}),
    counts: sink.counts,
    get level() {
      return sink.level
    },
    set level(to) {
      sink.level = to
    },
  }
}

function logOf(sink: Sink, fixed: object): Log {
  const at = (level: Level) => (message: string, fields?: object) => {
    if (levels.indexOf(level) < levels.indexOf(sink.level)) return
    sink.counts[level]++
    sink.write(`${JSON.stringify({ at: new Date(sink.now()).toISOString(), level, message, place: caller(), ...fixed, ...fields })}\n`)
  }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), with: (fields) => logOf(sink, { ...fixed, ...fields }) }
}

/** Who called the function that called this, as `host/vms.ts:120`. Looked up for lines that are written only: it takes some microseconds. */
function caller(): string | undefined {
  const [, , site] = getCallSites(3)
  return site && `${site.scriptName.replace(/^.*\/(src|dist)\//, '')}:${site.lineNumber}`
}

/** A log that says nothing. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  with: () => silentLog,
}
