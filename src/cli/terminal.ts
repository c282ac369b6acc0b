import type { Endpoint } from '../base/endpoint.ts'
import type { World } from '../base/world.ts'
import type { Call } from '../model/call.ts'
import type { Cloud } from '../model/cloud.ts'
import type { LocalDoors } from './local-doors.ts'
import type { LocalFiles } from './local-files.ts'
import type { TerminalSize } from '../model/session.ts'

/**
 * The world of the command line as `main` is given it: where words come from, where text goes, and how a Cloud is reached. `main` reads
 * no global, so a test is a Terminal too. `bin/tt.ts` makes the real one.
 */
export interface Terminal {
  /** The words after the program's name. */
  args: readonly string[]
  out: Output
  err: Output
  /** Whether `out` and `err` are one file, pipe or screen, so that a headline for both is written once. */
  sameSink(): boolean
  /** Standard input as it comes. */
  input(): AsyncIterable<Uint8Array>
  /** The keyboard, each key as it is pressed and not shown, until disposed; undefined if standard input is no terminal. */
  keyboard(): Promise<Keyboard | undefined>
  /** The environment. */
  variables: Record<string, string | undefined>
  config: ConfigFile
  /** The text of a file a flag names. Throws what the system says. */
  readFile(path: string): string
  /** A small public text by HTTPS; undefined if there is none of that name. */
  fetchText(url: string, options: Call & { limitBytes: number }): Promise<string | undefined>
  /** Files and directories of this machine, for transfers. */
  files(): Promise<LocalFiles>
  /** Lets programs of this machine in. */
  doors(): Promise<LocalDoors>
  /** Tokens under the names this client has given them. */
  profiles: ProfileFiles
  /** The token that a server of this machine and user has written for its clients, where, and the fingerprint of its key if it runs with TLS; undefined if there is none to read. */
  ownToken(server: Endpoint): { token: string; path: string; fingerprint?: string } | undefined
  /** Only makes ready: the first call tells whether anybody is there. By TLS, a server with another fingerprint than a known one is refused before anything is sent. */
  connect(server: Endpoint, identity: { token: string; fingerprint?: string }): Promise<{ cloud: Cloud }>
  /** What a server shows of itself by TLS; it is sent nothing. */
  shown(server: Endpoint, call: Call): Promise<Shown>
  world: World
  /** The first Ctrl-C. */
  signal: AbortSignal
  version(): Promise<string>
}

/** A stream to write to. */
export interface Output {
  /** Resolves once there is room for more. A reader that has gone away ends the program. */
  write(data: string | Uint8Array): Promise<void>
  /** What shows it, or undefined for a file or pipe, whose readers want every byte and no ornament. */
  screen(): Screen | undefined
}

export interface Screen {
  columns: number
  /** Lines it shows at once; undefined if nobody knows. */
  rows?: number
  colour: boolean
}

/** Disposed, also more than once, it is given back; while it is held lines on the screen end with a carriage return and a line feed. */
export interface Keyboard extends Disposable {
  keys: AsyncIterable<Uint8Array>
  size(): TerminalSize
  /** Tells of each new size of the screen, until the returned function is called. */
  resized(tell: (size: TerminalSize) => void): () => void
}

/** Whose key a server has. */
export interface Shown {
  fingerprint: string
  /** Why this machine does not trust its certificate; undefined if it does. */
  untrusted?: string
}

/** One file for each profile, readable by its owner only. */
export interface ProfileFiles {
  names(): string[]
  /** Undefined if there is none; throws if there is one that cannot be read. */
  read(name: string): string | undefined
  /** All or nothing. */
  write(name: string, text: string): void
  remove(name: string): void
  pathOf(name: string): string
}

/** The client's settings as a file. */
export interface ConfigFile {
  path: string
  /** Undefined if there is none; throws if there is one that cannot be read. */
  read(): string | undefined
  /** All or nothing, readable by its owner only. */
  write(text: string): void
}
