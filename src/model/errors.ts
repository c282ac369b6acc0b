/**
 * Every way a call can be refused. One table for the HTTP status, the exit status of a program and whether the same call may succeed later.
 * Exit statuses 3 to 19 are ours; 1 is a fault of `tt` itself, 2 a wrong command line, and a guest's own status passes through `env run`.
 */
export const errorCodes = {
  invalid: { http: 400, exit: 2, retry: false },
  unauthenticated: { http: 401, exit: 4, retry: false },
  denied: { http: 403, exit: 5, retry: false },
  not_found: { http: 404, exit: 6, retry: false },
  exists: { http: 409, exit: 7, retry: false },
  conflict: { http: 409, exit: 8, retry: true },
  too_large: { http: 413, exit: 9, retry: false },
  unsupported: { http: 422, exit: 10, retry: false },
  exhausted: { http: 409, exit: 11, retry: true },
  failed: { http: 500, exit: 12, retry: false },
  not_ready: { http: 409, exit: 13, retry: true },
  unavailable: { http: 503, exit: 14, retry: true },
  timeout: { http: 504, exit: 15, retry: true },
  cancelled: { http: 499, exit: 16, retry: false },
  limited: { http: 429, exit: 17, retry: true },
  internal: { http: 500, exit: 1, retry: false },
} as const

export type ErrorCode = keyof typeof errorCodes

/** An error as it travels and is stored. */
export interface Problem {
  code: ErrorCode
  /** What went wrong and why, one line, no full stop. */
  message: string
  /** What it is about, in the caller's words: `env/demo`, `vm/demo.3`, `image/micro`. */
  subject?: string
  /** What the reader can do about it. */
  remedy?: string
  /** One level down, for logs. */
  cause?: string
}

/** The only error that crosses a contract of `tt`. Made by `fail` and `asTtError` only. */
export class TtError extends Error {
  readonly code: ErrorCode
  readonly subject?: string
  readonly remedy?: string
  constructor(problem: Problem, cause?: unknown) {
    super(problem.message, { cause: cause ?? problem.cause })
    this.name = 'TtError'
    this.code = problem.code
    if (problem.subject !== undefined) this.subject = problem.subject
    if (problem.remedy !== undefined) this.remedy = problem.remedy
  }
}

/** The only way to refuse. */
export function fail(code: ErrorCode, message: string, about: { subject?: string; remedy?: string; cause?: unknown } = {}): never {
  throw new TtError({ code, message, subject: about.subject, remedy: about.remedy }, about.cause)
}

/** Any thrown thing as a TtError: its own, a cancelled call, or a fault inside (`internal`). */
export function asTtError(thrown: unknown): TtError {
  if (thrown instanceof TtError) return thrown
  if (thrown instanceof Error && thrown.name === 'AbortError') return new TtError({ code: 'cancelled', message: 'the call was cancelled' }, thrown)
  if (thrown instanceof Error && thrown.name === 'TimeoutError') return new TtError({ code: 'timeout', message: thrown.message }, thrown)
  const lack = lackOf(thrown)
  if (lack) return new TtError({ ...lack, message: `${lack.message}: ${reasonOf(thrown)}` }, thrown)
  return new TtError({ code: 'internal', message: reasonOf(thrown) }, thrown)
}

/** What the machine has too little of, by the system's name of the fault: no fault of `tt`, and over once the machine has it again. */
const lacks: Record<string, Pick<Problem, 'code' | 'message' | 'remedy'>> = {
  ENOSPC: { code: 'exhausted', message: "the host's disk is full", remedy: "free space where the server's data directory lies" },
  EDQUOT: { code: 'exhausted', message: "the server's quota of disk space is used up", remedy: 'free space, or raise the quota' },
  EROFS: { code: 'unavailable', message: "the host's disk cannot be written", remedy: 'see in the kernel log why its file system is read-only, and mount it writable' },
  EMFILE: { code: 'unavailable', message: 'the server has as many files open as it may', remedy: 'raise its limit of open files (ulimit -n, LimitNOFILE)' },
  ENFILE: { code: 'unavailable', message: 'the host has as many files open as it may', remedy: 'raise fs.file-max' },
  ENOMEM: { code: 'unavailable', message: 'the host has no memory left', remedy: 'stop what uses it, or offer less of it to VMs (--mem-total)' },
  EAGAIN: { code: 'unavailable', message: 'the server may start no more processes', remedy: 'raise its limit of processes (ulimit -u, TasksMax)' },
}

function lackOf(thrown: unknown): (typeof lacks)[string] | undefined {
  for (let at = thrown, depth = 0; at instanceof Error && depth < 4; at = at.cause, depth++) {
    const { code, syscall } = at as { code?: unknown; syscall?: unknown }
    // Of a file or socket it means: not now.
    if (code === 'EAGAIN' && !String(syscall).startsWith('spawn')) continue
    if (typeof code === 'string' && Object.hasOwn(lacks, code)) return lacks[code]
  }
  return undefined
}

/** What a thrown thing says of itself. */
export const reasonOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown))

/** The error as plain data, for the wire, the store and `--json`. */
export function problemOf(thrown: unknown): Problem {
  const error = asTtError(thrown)
  const problem: Problem = { code: error.code, message: error.message }
  if (error.subject !== undefined) problem.subject = error.subject
  if (error.remedy !== undefined) problem.remedy = error.remedy
  if (error.cause !== undefined) problem.cause = error.cause instanceof Error ? error.cause.message : String(error.cause)
  return problem
}

/** A Problem that came over a wire, as the error it was; anything unknown becomes `internal`. */
export function errorOf(problem: Partial<Problem>): TtError {
  const code: ErrorCode = problem.code !== undefined && Object.hasOwn(errorCodes, problem.code) ? problem.code : 'internal'
  return new TtError({ ...problem, code, message: problem.message ?? 'no reason was given' })
}
