import { type Problem, problemOf } from '../model/errors.ts'

/** The kinds of result that are told apart: the lower byte of https://sqlite.org/rescode.html. */
const reasons: Record<number, string> = {
  8: 'it cannot be written',
  10: 'the disk reported an error',
  11: 'it is damaged',
  14: 'it cannot be opened',
  23: 'access to it was refused',
  26: 'it is not an SQLite database',
}

export const isBusy = (fault: unknown): boolean => kindOf(fault) === 5
export const isFull = (fault: unknown): boolean => kindOf(fault) === 13

/** What a fault means to who uses the store `file`; a refusal of our own is what it is. */
export function problemFor(fault: unknown, file: string): Problem {
  const kind = kindOf(fault)
  if (kind === undefined) return problemOf(fault)
  const cause = fault instanceof Error ? fault.message : String(fault)
  if (isFull(fault)) return { code: 'exhausted', message: `no space is left on the disk of ${file}`, subject: file, remedy: 'free some space there; nothing is damaged', cause }
  return { code: 'failed', message: `the store ${file} cannot be used: ${reasons[kind] ?? cause}`, subject: file, remedy: remedyFor(kind, file), cause }
}

function remedyFor(kind: number, file: string): string {
  if (kind === 8 || kind === 14 || kind === 23) return `see that ${file} and its directory are there and that this user may write them`
  if (kind === 10) return 'look for disk errors in the kernel log, then start again'
  return `keep a copy of ${file}, then put a backup in its place or move it away to begin empty`
}

function kindOf(fault: unknown): number | undefined {
  return fault instanceof Error && 'errcode' in fault && typeof fault.errcode === 'number' ? fault.errcode & 0xff : undefined
}
