import type { Duplex } from 'node:stream'
import type { Log } from '../../base/log.ts'
import type { World } from '../../base/world.ts'
import type { Call } from '../../model/call.ts'
import type { Command, Exit } from '../../model/session.ts'

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
  /** Aborts once the channel was disposed or its guest is gone for good. */
  readonly closed: AbortSignal
}

export interface ExecOptions {
  /** Called for each piece, in order. A returned promise holds this stream of this command back until it resolves; the guest stops sending soon after. */
  output(stream: 'stdout' | 'stderr', bytes: Uint8Array): void | Promise<void>
  /** Read as the guest takes it; its end closes the command's input. Absent: empty input. */
  stdin?: AsyncIterable<Uint8Array>
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
}

/** What a channel is told of its guest. */
export interface Guest {
  id: string
  /** Opens the stream to the agent; called again after a break. */
  dial(call?: Call): Promise<Duplex>
  world: World
  log: Log
}

export type ChannelFactory = (guest: Guest) => Channel

/** Name of the virtio-serial port our agent listens on. */
export const agentPort = 'tt.agent'
