import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** Runs a program that says lines for as long as it lives; it is killed when the signal aborts. Gives how it ended. It inherits nothing but a plain environment. */
export function lineProgram([program = '', ...args]: readonly string[], { onLine, signal }: { onLine: (line: string) => void; signal: AbortSignal }): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' } })
  const stop = () => child.kill('SIGKILL')
  let words = ''
  child.stderr.setEncoding('utf8').on('data', (piece: string) => (words = (words + piece).slice(-500)))
  createInterface({ input: child.stdout }).on('line', onLine)
  child.once('error', (fault) => resolve(fault.message))
  child.once('close', (code, by) => {
    signal.removeEventListener('abort', stop)
    resolve(`${code ?? by}${words === '' ? '' : `: ${words.trim()}`}`)
  })
  if (signal.aborted) stop()
  else signal.addEventListener('abort', stop, { once: true })
  return promise
}
