import { fail } from '../model/errors.ts'

/**
 * Files of the machine `tt` runs on, as transfers need them. Paths are as people write them. What the system refuses is thrown as an error of `tt` that names the path:
 * `not_found`, `denied`, `exists`, `exhausted`, `invalid` (a directory where a file is wanted, a name that is not UTF-8, …), otherwise `failed`.
 */
export interface LocalFiles {
  /** What is at the path; undefined if nothing. A link is followed only with `follow`. */
  stat(path: string, options?: { follow?: boolean }): Promise<LocalThing | undefined>
  /** What the link holds; refuses with `invalid` if that is not UTF-8, and so could not be said elsewhere as it is. */
  targetOf(path: string): Promise<string>
  /** Names in a directory, in order; refuses with `invalid` if one of them is not UTF-8: it could not even be asked for. */
  list(path: string): Promise<string[]>
  /** A file's bytes, from there on. */
  read(path: string, from?: number): AsyncIterable<Uint8Array>
  /** The last name of a path, also of `.`; empty for the root. */
  nameOf(path: string): string
  /** Names below a path. What `..` means behind a link is left to the system. */
  join(path: string, ...names: string[]): string
  directoryOf(path: string): string
  /** Makes a directory, and those above it, unless it is there. */
  makeDirectory(path: string, mode?: number): Promise<void>
  makeLink(path: string, target: string): Promise<void>
  setMode(path: string, mode: number): Promise<void>
  /** Opens a file to write to, new or where it is; only its owner can read it. A link is not written through. */
  open(path: string): Promise<LocalPart>
  /** At once. Without `overwrite` it refuses with `exists` if there is anything at the new path; with it, a file takes the place of a file or link. */
  rename(from: string, to: string, options: { overwrite: boolean }): Promise<void>
  /** With all that is in it; nothing there is fine. */
  remove(path: string): Promise<void>
}

export interface LocalThing {
  type: 'file' | 'directory' | 'link' | 'other'
  /** Permission bits. */
  mode: number
  sizeBytes: number
}

/** A file that grows. */
export interface LocalPart {
  readonly sizeBytes: number
  /** Only so many of its first bytes stay. */
  cut(sizeBytes: number): Promise<void>
  /** Behind what is there. */
  write(bytes: Uint8Array): Promise<void>
  close(): Promise<void>
}

/** How files are called that are not whole yet: no guest shows such names, so none can take the place of another's. */
export const partLead = '.tt-part-'

/** Refuses what was named and is not there. */
export function absent(path: string, what: string): never {
  checkNamed(path)
  return fail('not_found', `there is no ${what} ${path}`)
}

/** Refuses a path where nothing is and that did not arrive as it was given: bytes that are not UTF-8 come to a program like this one as U+FFFD. */
export function checkNamed(path: string): void {
  if (path.includes('\ufffd')) fail('invalid', `${path} was given in bytes that are not UTF-8, shown as \ufffd: it cannot be found by what is left of them`, { remedy: 'rename it, or make a link to it whose name is UTF-8, and name that' })
}
