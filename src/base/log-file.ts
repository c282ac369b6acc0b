import { appendFileSync, closeSync, openSync, renameSync, statSync } from 'node:fs'

export interface LogFile extends Disposable {
  write(line: string): void
  /** Goes on in the file that has the path now: whoever moved the old one away keeps it. */
  reopen(): void
}

/** Appends lines to a file that never grows beyond twice `limitBytes`: what is older lies in `FILE.1`. */
export function logFile(path: string, limitBytes = 16 << 20): LogFile {
  let fd = openSync(path, 'a', 0o600)
  let size = statSync(path).size
  const reopen = () => {
    closeSync(fd)
    fd = openSync(path, 'a', 0o600)
    size = statSync(path).size
  }
  return {
    reopen,
    write(line) {
      appendFileSync(fd, line)
      size += Buffer.byteLength(line)
      if (size < limitBytes) return
      renameSync(path, `${path}.1`)
      reopen()
    },
    [Symbol.dispose]: () => closeSync(fd),
  }
}
