import { spawnSync } from 'node:child_process'

/** Lets the terminal on standard input show bytes as they are, until its mode is set anew. Where there is no stty(1) it stays as it is. */
export function outputAsItIs(): void {
  spawnSync('stty', ['-opost'], { stdio: ['inherit', 'ignore', 'ignore'] })
}
