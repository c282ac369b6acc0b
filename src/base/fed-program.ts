import { spawn } from 'node:child_process'

/** A program of our own that works off what it is fed, line by line, and ends with its input. */
export interface FedProgram extends AsyncDisposable {
  feed(text: string): void
}

/** Starts it; what it says goes where this process says things. One that cannot be started, or has ended, takes what it is fed for nothing. */
export function fedProgram(program: string, env: NodeJS.ProcessEnv): FedProgram {
  const child = spawn(program, { env, stdio: ['pipe', 'ignore', 'inherit'] })
  const ended = new Promise<void>((resolve) => child.once('error', () => resolve()).once('close', () => resolve()))
  child.stdin.on('error', () => undefined)
  child.unref()
  return {
    feed: (text) => void child.stdin.write(text),
    async [Symbol.asyncDispose]() {
      child.stdin.end()
      await ended
    },
  }
}
