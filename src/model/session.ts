import type { Call } from './call.ts'
import type { Problem } from './errors.ts'

/** Which VMs of which ENVs: all of them, or those that match any of the filters. */
export interface VmSelection {
  envs: string[]
  /** Image prefixes as in `env add`. */
  prefixes?: string[]
  indices?: number[]
}

/** A command for a guest: a program with its arguments, or text for its shell. */
export type Command = { argv: string[]; shell?: never } | { shell: string; argv?: never }

/** What can be opened. Each names its VMs; frames say which VM they are of. */
export type SessionRequest =
  | {
      type: 'exec'
      vms: VmSelection
      command: Command
      env?: Record<string, string>
      cwd?: string
      /** The caller will send `stdin` frames; without it the commands read an empty input. */
      stdin?: boolean
      /** Per VM, from its start; the command is killed and the VM answers with a problem of code `timeout`. */
      timeoutMs?: number
    }
  | { /** What the guest wrote to its serial line; `follow` goes on with what comes. */ type: 'logs'; vms: VmSelection; follow?: boolean }
  | { /** The guest's serial line, both ways; exactly one VM. */ type: 'console'; vms: VmSelection }
  | { /** Looks for what no record owns on every host. */ type: 'doctor' }
  | { /** Builds a recipe on every host that has it, or on those named. */ type: 'build'; image: string }

/** A guest command's end: its status, or the name of the signal that killed it. */
export type Exit = { code: number; signal?: never } | { signal: string; code?: never }

/** What a session says. `begin` comes once per VM and first; `exit` or `problem` ends a VM; the stream ends after the last. */
export type SessionFrame =
  | { type: 'begin'; vm: string; image: string; address?: string }
  | { type: 'stdout' | 'stderr'; vm: string; data: Uint8Array }
  | ({ type: 'exit'; vm: string } & Exit)
  | { type: 'problem'; vm?: string; problem: Problem }
  | { /** A line for people while something long works. */ type: 'note'; host?: string; text: string }
  | { type: 'leak'; host: string; leak: Leak }
  | { type: 'built'; host: string; image: string }

/** What a caller says. Without `vm` it is for every VM of the session. */
export type SessionInput =
  | { type: 'stdin'; vm?: string; data: Uint8Array }
  | { type: 'eof'; vm?: string }
  | { type: 'signal'; vm?: string; signal: string }
  | { type: 'size'; vm?: string; columns: number; rows: number }

/** A thing on a host that belongs to a server and to no record of it. */
export interface Leak {
  kind: 'process' | 'tap' | 'bridge' | 'nft' | 'cgroup' | 'file' | 'mount'
  subject: string
  /** What says that it is ours, and that nothing owns it. */
  why: string
}

/** An open session. Disposing it ends what still runs in the guests. Browser-safe. */
export interface Session extends AsyncDisposable {
  readonly output: ReadableStream<SessionFrame>
  readonly input: WritableStream<SessionInput>
}

/** A VM a session is to reach, found by the cloud. */
export interface Target {
  id: string
  /** What people call it: `demo.3`. */
  vm: string
  image: string
  engine: string
  address?: string
}

/** A host as the cloud reaches it: sessions for VMs it runs, or for itself where a request names none. */
export interface Peer {
  open(request: SessionRequest, targets: Target[], call?: Call): Promise<Session>
}

/** What a frame weighs while nobody has read it. */
export const frameSize = (frame: SessionFrame): number => 100 + ('data' in frame ? frame.data.length : 0)

/** How much a session may hold unread before its writers wait. */
export const unreadLimitBytes = 1 << 20
