/**
 * Files of the machine `tt` runs on, as transfers need them. Paths are as people write them. What the system refuses is thrown as an error of `tt` that names the path:
 * `not_found`, `denied`, `exists`, `exhausted`, otherwise `failed`.
 */
export interface LocalFiles {
  /** What is at the path; undefined if nothing. A link is followed only with `follow`. */
  stat(path: string, options?: { follow?: boolean }): Promise<LocalThing | undefined>
  /** Names in a directory, in order. */
  list(path: string): Promise<string[]>
  /** A file's bytes, from there on. */
  read(path: string, from?: number): AsyncIterable<Uint8Array>
  /** The last name of a path, also of `.`; empty for the root. */
  nameOf(path: string): string
  join(...parts: string[]): string
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
  /** Of a link. */
  target?: string
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
