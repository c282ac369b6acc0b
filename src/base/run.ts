import { type ChildProcess, spawn } from 'node:child_process'

export interface RunOptions {
  /** Given to standard input, then closed. */
  input?: string | Uint8Array
  cwd?: string
  /** The whole environment; by default this process' own. */
  env?: NodeJS.ProcessEnv
  signal?: AbortSignal
  /** Killed after this long; 30 s unless said otherwise, 0 for never. */
  timeoutMs?: number
  /** Runs with these rights, and without other groups; for root. */
  user?: { uid: number; gid: number }
  /** Open files it gets as descriptors 3, 4 and so on. */
  fds?: readonly number[]
  /** Standard output beyond this kills the program; 64 MiB unless said otherwise. */
  outputLimitBytes?: number
  /** Each line of standard error as it comes, without its end. */
  onErrorLine?: (line: string) => void
}

export interface Ran {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  /** The last 64 KiB. */
  stderr: string
}

/**
 * Runs a program to its end and gives what it said. Rejects only if it cannot be started, times out or is aborted: its
 * exit status is the caller's to judge. Programs that change the machine are run inside an effect by their caller.
 */
export function run(argv: readonly [string, ...string[]], options: RunOptions = {}): Promise<Ran> {
  const { promise, resolve, reject } = Promise.withResolvers<Ran>()
  const [program, ...args] = argv
  let child: ChildProcess
  try {
    child = spawn(program, args, {
      cwd: options.cwd,
      env: options.env,
      ...options.user,
      stdio: ['pipe', 'pipe', 'pipe', ...(options.fds ?? [])],
      signal: options.signal,
      timeout: options.timeoutMs ?? 30_000,
      killSignal: 'SIGKILL',
    })
  } catch (fault) {
    return Promise.reject(fault) // Some faults of a start are thrown, such as arguments that are too long or no memory to fork.
  }
  const stdout = collect(child, options.outputLimitBytes ?? 64 << 20)
  const stderr = tail(child, 64 << 10, options.onErrorLine)
  child.once('error', (fault) => {
    reject(fault)
    // Node takes back its timer at an exit, and one that was never started has none: the timer would keep this process alive.
    if (child.pid === undefined) child.emit('exit', null, null)
  })
  // Where no descriptors or processes are left, there is a child without streams, and then its error.
  child.stdin?.on('error', () => undefined) // It may end before it has read everything.
  child.stdin?.end(options.input)
  child.once('close', (code, signal) => {
    if (signal === 'SIGKILL' && child.killed && !stdout.over()) return reject(new Error(`${program} did not end in time`))
    if (stdout.over()) return reject(new Error(`${program} wrote more than it may`))
    resolve({ code, signal, stdout: stdout.text(), stderr: stderr.text() })
  })
  return promise
}

/** As `run`, and rejects with the program's last words unless it ends with 0. */
export async function runOk(argv: readonly [string, ...string[]], options: RunOptions = {}): Promise<string> {
  const { code, signal, stdout, stderr } = await run(argv, options)
  if (code === 0) return stdout
  const why = stderr.trim().split('\n').slice(-3).join('; ')
  throw new Error(`${argv[0]} ended with ${code ?? signal}${why === '' ? '' : `: ${why}`}`)
}

function collect(child: ChildProcess, limit: number) {
  const pieces: Buffer[] = []
  let size = 0
  child.stdout?.on('data', (piece: Buffer) => {
    size += piece.length
    if (size > limit) child.kill('SIGKILL')
    else pieces.push(piece)
  })
  return { text: () => Buffer.concat(pieces).toString(), over: () => size > limit }
}

function tail(child: ChildProcess, limit: number, onLine?: (line: string) => void) {
  let kept = ''
  let line = ''
  child.stderr?.setEncoding('utf8').on('data', (piece: string) => {
    kept = (kept + piece).slice(-limit)
    if (!onLine) return
    const lines = (line + piece).split('\n')
    line = (lines.pop() ?? '').slice(-limit)
    lines.forEach(onLine)
  })
  return { text: () => kept }
}
