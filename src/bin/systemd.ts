import { fedProgram } from '../base/fed-program.ts'
import type { World } from '../base/world.ts'
import { builtPath } from './paths.ts'

/** The service manager that started this server, if one did: it is told how far the server is, as sd_notify(3) says. */
export interface ServiceManager extends AsyncDisposable {
  ready(status: string): void
  reloading(): void
  reloaded(): void
  stopping(status: string): void
}

export interface ServiceManagerOptions {
  /** Read once, and then taken out of it: what the server starts is none of the manager's business. */
  variables: NodeJS.ProcessEnv
  world: World
  /** The process the manager knows. */
  pid: number
}

/** The manager named by `NOTIFY_SOCKET`, or one that hears nothing. It lives until it is disposed, and the server is alive while it tells. */
export function serviceManager({ variables, world, pid }: ServiceManagerOptions): ServiceManager {
  const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: microseconds, WATCHDOG_PID: watched } = variables
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete variables[name]
  if (socket === undefined || socket === '') return { ready: () => undefined, reloading: () => undefined, reloaded: () => undefined, stopping: () => undefined, [Symbol.asyncDispose]: async () => undefined }
  // A manager that cannot be told is no reason not to serve.
  const program = fedProgram(builtPath('native', 'notify'), { NOTIFY_SOCKET: socket })
  const tell = (...lines: string[]) => program.feed(`${lines.map((line) => line.replaceAll('\n', ' ')).join('\n')}\n\n`)

  let stopBeat = () => {}
  const beat = () => {
    tell('WATCHDOG=1')
    stopBeat = world.after(Number(microseconds) / 2000, beat)
  }
  // One that is not for this process is the business of whoever started it.
  const isWatched = Number(microseconds) > 0 && (watched === undefined || Number(watched) === pid)
  return {
    ready(status) {
      tell('READY=1', `STATUS=${status}`)
      if (isWatched) beat()
    },
    reloading: () => tell('RELOADING=1'),
    reloaded: () => tell('READY=1'),
    stopping: (text) => tell('STOPPING=1', `STATUS=${text}`),
    async [Symbol.asyncDispose]() {
      stopBeat()
      await program[Symbol.asyncDispose]()
    },
  }
}
