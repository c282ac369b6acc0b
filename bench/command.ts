import { spawn } from 'node:child_process'
import { ticks } from './measure.ts'

/** Milliseconds from the start of a whole process to its end. Rejects if it says anything but 0. */
export function wholeProcess(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const [program = '', ...args] = argv
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const begun = ticks()
  const child = spawn(program, args, { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  child.once('error', reject)
  child.once('close', (code, signal) => {
    if (code === 0) resolve(ticks() - begun)
    else reject(new Error(`${argv.join(' ')} ended with ${code ?? signal}: ${said.trim().slice(-500)}`))
  })
  return promise
}
