import { accessSync, constants, readFileSync } from 'node:fs'
import { flushCompileCache } from 'node:module'

const shell = '/bin/sh'

/**
 * Lets this process end without Node's own last steps, whichever way it ends. There the main thread waits for V8's, and one of those that is just compiling may wait for a collection which
 * only the main thread could do: then the process stays for ever (https://github.com/nodejs/node/issues/54918; one push of 4 MB in thirty on a busy machine). A process
 * that becomes another program loses all its threads at once; the other program leaves with the same status.
 */
export function leaveWithoutWaiting(): void {
  const found = [0, 1, 2].map(blocks)
  let crashed = false
  process.on('uncaughtExceptionMonitor', () => (crashed = true))
  process.on('exit', (status) => {
    // Node says what it was that nobody caught after this, as one of its last steps.
    if (crashed) return
    flushCompileCache()
    giveBack(found)
    // What cannot be executed would abort this process.
    if (isThere(shell)) process.execve?.(shell, ['sh', '-c', `exit ${status}`], {})
  })
}

/** Pipes that Node used do not block any more, for whoever shares them either: a script's next command would fail on them. It is one of the steps that are left out. */
function giveBack(found: readonly boolean[]): void {
  found.forEach((blocked, fd) => {
    if (!blocked || blocks(fd)) return
    const stream = fd === 0 ? process.stdin : fd === 1 ? process.stdout : process.stderr
    ;(stream as { _handle?: { setBlocking?(on: boolean): void } })._handle?.setBlocking?.(true)
  })
}

/** Whether reading and writing wait (no O_NONBLOCK); true as well where that cannot be told. */
function blocks(fd: number): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1] ?? '0'
    return (Number.parseInt(flags, 8) & constants.O_NONBLOCK) === 0
  } catch {
    return true
  }
}

function isThere(program: string): boolean {
  try {
    accessSync(program, constants.X_OK)
    return true
  } catch {
    return false
  }
}
