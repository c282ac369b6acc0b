import { appendFileSync, closeSync, openSync, renameSync, statSync } from 'node:fs'

/** Appends lines to a file that never grows beyond twice `limitBytes`: what is older lies in `FILE.1`. */
export function logFile(path: string, limitBytes = 16 << 20): { write(line: string): void } & Disposable {
  let fd = openSync(path, 'a', 0o600)
  let size = statSync(path).size
  return {
    write(line) {
      appendFileSync(fd, line)
      size += Buffer.byteLength(line)
      if (size < limitBytes) return
      closeSync(fd)
      renameSync(path, `${path}.1`)
      fd = openSync(path, 'a', 0o600)
      size = 0
    },
    [Symbol.dispose]: () => closeSync(fd),
  }
}
