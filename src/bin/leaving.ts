import { accessSync, constants } from 'node:fs'
import { flushCompileCache } from 'node:module'

const shell = '/bin/sh'

/**
 * Lets this process end without Node's own last steps, whichever way it ends. There the main thread waits for V8's, and one of those that is just compiling may wait for a collection which
 * only the main thread could do: then the process stays for ever (https://github.com/nodejs/node/issues/54918; one push of 4 MB in thirty on a busy machine). A process
 * that becomes another program loses all its threads at once; the other program leaves with the same status.
 */
export function leaveWithoutWaiting(): void {
  process.on('exit', (status) => {
    flushCompileCache()
    // What cannot be executed would abort this process.
    if (isThere(shell)) process.execve?.(shell, ['sh', '-c', `exit ${status}`], {})
  })
}

function isThere(program: string): boolean {
  try {
    accessSync(program, constants.X_OK)
    return true
  } catch {
    return false
  }
}
