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

/** A log that writes lines of at least `level` to `write`, the line end included. */
export function jsonLog(write: (line: string) => void, now: () => number, level: Level = 'info', fixed: object = {}): Log {
  const at = (name: Level) => (message: string, fields?: object) => {
    if (levels.indexOf(name) < levels.indexOf(level)) return
    write(`${JSON.stringify({ at: new Date(now()).toISOString(), level: name, message, ...fixed, ...fields })}\n`)
  }
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    with: (fields) => jsonLog(write, now, level, { ...fixed, ...fields }),
  }
}

/** A log that says nothing. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  with: () => silentLog,
}
