import type { Duplex } from 'node:stream'
import type { Log } from '../../base/log.ts'
import type { World } from '../../base/world.ts'
import type { Call } from '../../model/call.ts'
import type { Command, Exit, FileEntry, TerminalSize } from '../../model/session.ts'

/**
 * Runs commands in one guest. A channel connects by itself, reconnects when its stream breaks, and carries any number of commands at once
 * over one stream; none can hold up another.
 *
 * Rules for an implementer
 * - Every connection opens with a fresh nonce and both sides discard everything until it is answered: a server that was killed in the middle of a
 *   frame, or a guest that was reset, leaves no confusion.
 * - Nothing a guest sends can make the host allocate without bound or throw outside the call it answers: bytes are checked, a peer that breaks the
 *   protocol is disconnected and its commands fail with `failed`.
 * - Streams are bytes: no encoding, no line ends, no limit in size. stdout and stderr come in order, each on its own.
 * - When the stream breaks, running commands reject with `unavailable`: whether they had an effect is not known, and the message says so.
 */
export interface Channel extends AsyncDisposable {
  readonly features: ChannelFeatures
  /** Resolves when the guest has answered; at once if it has. Waits as long as the call lets it. */
  ready(call?: Call): Promise<void>
  /** One round trip without starting anything. */
  ping(call?: Call): Promise<void>
  /**
   * Runs the command to its end; waits for the guest as `ready` does. Aborting the call kills it with everything it started (where the guest can tell) and rejects.
   * A command that cannot be started is `not_found` (no such program) or `failed`, with the guest's reason. It has ended when its
   * process has and nobody writes its output any more; what it leaves in the background does not hold its end up for long.
   */
  exec(command: Command, options: ExecOptions, call?: Call): Promise<Exit>
  /** Ends the guest in order: its programs are told, its disks written out, then it takes its own power away. Resolves when only the power is left. Where the agent can. */
  halt?(call?: Call): Promise<void>
  /** With `features.files`. */
  readonly files?: GuestFiles
  /** With `features.identity`: makes the guest who it is to be. May be repeated; what it says already is left alone. */
  identify?(identity: Identity, call?: Call): Promise<void>
  /** With `features.beats`: how the guest is, each time it says so by itself, some seconds apart. A guest that falls silent yields nothing. Ends when the signal aborts or the channel is disposed. */
  beats?(call: Call): AsyncIterable<Beat>
  /** Resolves when what notices by itself that the guest is not reached any more has noticed it, after the guest had answered; `ready` tells that it is back. Where the way notices; not for one with `beats`. */
  broken?(call: Call): Promise<void>
  /** Aborts once the channel was disposed or its guest is gone for good. */
  readonly closed: AbortSignal
}

export interface ExecOptions {
  /** Called for each piece, in order. A returned promise holds this stream of this command back until it resolves; the guest stops sending soon after. */
  output(stream: 'stdout' | 'stderr', bytes: Uint8Array): void | Promise<void>
  /** Read as the guest takes it; its end closes the command's input. Absent: empty input. */
  stdin?: AsyncIterable<Uint8Array>
  /**
   * With `features.tty`: the command has a terminal of this size as its session's own. Its output comes as `stdout` only, `stdin` is what is typed, and the end of `stdin` hangs up as a closed window does.
   */
  tty?: TerminalSize & { term?: string }
  /** With `tty`: new sizes. */
  sizes?: AsyncIterable<TerminalSize>
  /** Signals to pass on to the command and what it started, by name: `SIGTERM`. */
  signals?: AsyncIterable<string>
  /** Added to the guest's default environment. */
  env?: Record<string, string>
  cwd?: string
}

export interface ChannelFeatures {
  tty: boolean
  stdin: boolean
  signals: boolean
  files: boolean
  identity: boolean
  beats: boolean
  /** The output of a command comes only when it has ended, and of each stream no more than this; a command that writes more ends with `too_large`. Absent: as it is written, all of it. */
  outputAtEnd?: { limitBytes: number }
}

/**
 * Files of a guest, by absolute paths, which the guest reads as its system does: links on the way are followed, and `..` leads out of where they lead. Bytes are streamed and never held whole. Refusals: `not_found`, `exists`, `denied`, `invalid` (a directory where a file is wanted, …), `exhausted` (no space),
 * each with the guest's reason.
 */
export interface GuestFiles {
  /** What is at the path, a link there not followed; undefined if nothing. Its `path` is empty, its `sha256` absent. */
  stat(path: string, call?: Call): Promise<FileEntry | undefined>
  /** What is in a directory, one level; `path` of each is its name. In no order. */
  list(path: string, call?: Call): AsyncIterable<FileEntry>
  /** The sha256 of the file's first bytes, of all without `bytes`; undefined if it has not so many. */
  digest(path: string, options?: { bytes?: number }, call?: Call): Promise<string | undefined>
  /** The file's bytes from `offset` on, as they are read. Resolves with the sha256 of the whole file as it was read, what is before the offset included. */
  read(path: string, options: { offset?: number; /** As far as it is known, of the whole file. */ sizeBytes?: number; output(bytes: Uint8Array): void | Promise<void> }, call?: Call): Promise<{ sha256: string }>
  /**
   * How much of a file with this content lies there from an earlier `write` that broke off. All of it if the very file is at the path already, whose mode it then is given.
   * Refuses with `exists` if something else is there, unless `overwrite`; a directory is never overwritten.
   */
  offer(path: string, file: NewFile, call?: Call): Promise<number>
  /**
   * Writes the file's bytes from `offset` on (as `offer` said) into a hidden file beside it, checks the sha256 of the whole, gives it its mode and only then its name, at once.
   * Parent directories must be there. Pieces that were given are not changed any more. Broken off, what was written stays for the next time; a wrong sha256 is refused with `failed` and leaves nothing.
   */
  write(path: string, file: NewFile & { offset: number }, bytes: AsyncIterable<Uint8Array>, call?: Call): Promise<void>
  /** Makes a directory with this mode, or gives it to the one that is there. */
  makeDirectory(path: string, mode: number, call?: Call): Promise<void>
  /** Makes a symbolic link; `exists` if something other than this very link is there, unless `overwrite`. */
  makeLink(path: string, options: { target: string; overwrite?: boolean }, call?: Call): Promise<void>
}

export interface NewFile {
  sizeBytes: number
  /** Of all its bytes, in hexadecimal. */
  sha256: string
  mode: number
  overwrite?: boolean
}

/** Who a guest is to be. What is absent stays as it is. */
export interface Identity {
  hostname?: string
  /** Of its first card: `10.77.0.2/24`, `10.77.0.1`. */
  address?: { cidr: string; gateway: string; mtu?: number }
  /** Unix time in milliseconds, set if it is off by more than a second. */
  timeMs?: number
  /** Random bytes for the kernel's pool: clones of one guest must not draw the same numbers. */
  entropy?: Uint8Array
  /** All lines of root's `authorized_keys` that come from us; lines of others stay. */
  sshKeys?: string[]
}

/** How a guest says it is. */
export interface Beat {
  /** Load average of the last minute. */
  load: number
  memUsedMb: number
  memTotalMb: number
}

/** What a channel is told of its guest. */
export interface Guest {
  id: string
  /** Opens a stream to the guest's port of this name (our agent's, without one); called again after a break. */
  dial(call?: Call, portName?: string): Promise<Duplex>
  /** A file that the guest sees as a disk with the serial number `tt-window`, as an engine's `window` says; undefined if there is none. */
  window?(): Promise<string | undefined>
  /** Where a port of the guest is reached by TCP from this host; undefined while it has no address. */
  address(port: number): { host: string; port: number } | undefined
  /** Known to this host alone, 32 bytes, the same over restarts: by it the guest knows us again. */
  secret: Uint8Array
  /** The key by which this host enters the ENV's guests by ssh, made when it is first asked for. */
  sshKey(call?: Call): Promise<SshKey>
  /** A directory of the channel's own, which goes with the guest; made when it is first asked for. */
  dir(): Promise<string>
  world: World
  log: Log
}

/** An ssh key, as OpenSSH writes it. */
export interface SshKey {
  privateKey: string
  publicKey: string
}

export type ChannelFactory = (guest: Guest) => Channel

/** Name of the virtio-serial port our agent listens on. */
export const agentPort = 'tt.agent'
/** Name of the port the guest agent of QEMU listens on. */
export const qgaPort = 'org.qemu.guest_agent.0'
